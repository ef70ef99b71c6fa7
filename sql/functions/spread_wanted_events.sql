-- Tells all products which events are wanted, after a change of an endpoint or the feed. The caller has subscription_lock.
--
-- A batch that read the product before this commits with the events that were wanted then. The rows are locked in the order of
-- their numbers. A buyer waits for no other lock while it has one of them.
create or replace function spread_wanted_events()
returns void
language plpgsql
as $$
declare
    v_wanted constant integer := subscribed_events();
begin
    perform from products p where p.wanted_events <> v_wanted order by p.id for no key update;
    update products p set wanted_events = v_wanted where p.wanted_events <> v_wanted;
end
$$;
