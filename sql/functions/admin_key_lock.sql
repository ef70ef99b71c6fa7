-- The number of the advisory lock on an operator's idempotency key: see find_admin_key.
create or replace function admin_key_lock(p_scope integer, p_key text)
returns bigint
language sql immutable
as $$ select hashtextextended(p_scope::text || ' ' || p_key, 3) $$;
