-- The number of the advisory lock on the idempotency key of a payment event. The second argument of the hash differs for
-- each kind of lock.
create or replace function event_lock(p_key text)
returns bigint
language sql immutable
as $$ select hashtextextended(p_key, 0) $$;
