-- The number of the advisory lock on what endpoints and the feed want. Its holder may change endpoints. Sharing it keeps them
-- as they are: see create_product and dispatch_events.
create or replace function subscription_lock()
returns bigint
language sql immutable
as $$ select hashtextextended('subscriptions', 4) $$;
