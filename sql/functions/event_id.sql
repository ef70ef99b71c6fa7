-- The id of an event: the product and 96 bits of a hash of the rest. So an event that is written twice hits the primary key.
create or replace function event_id(p_product_id integer, p_type text, p_object_id text, p_version integer)
returns uuid
language sql immutable
as $$
    select (lpad(to_hex(p_product_id), 8, '0')
        || lpad(to_hex(hashtextextended(p_type || ' ' || p_version::text || ' ' || p_object_id, 0)), 16, '0')
        || lpad(to_hex(hashtextextended(p_type || ' ' || p_version::text || ' ' || p_object_id, 1) & 4294967295), 8, '0'))::uuid
$$;
