-- An id without its product. It orders the ids of several products by the second in which their holds were made, then by their
-- random bits. A newer id has a greater value.
create or replace function age_of_id(p_id uuid)
returns bytea
language sql immutable
as $$
    select substr(uuid_send(p_id), 5)
$$;
