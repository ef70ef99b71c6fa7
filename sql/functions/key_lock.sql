-- The number of the advisory lock on a buyer's idempotency key. Keys of different customers share it, which does no harm.
create or replace function key_lock(p_product_id integer, p_key text)
returns bigint
language sql immutable
as $$ select hashtextextended(p_product_id::text || ' ' || p_key, 1) $$;
