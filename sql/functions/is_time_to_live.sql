-- Whether a time to live is in the range that the settings allow: at most 30 days, in microseconds.
create or replace function is_time_to_live(p_us bigint)
returns boolean
language sql immutable
as $$
    select p_us between 0 and 2592000000000
$$;
