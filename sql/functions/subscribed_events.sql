-- The types of events that an endpoint or the feed wants, as bits. An endpoint that was disabled because it failed still wants
-- its events: they are kept until it is enabled.
create or replace function subscribed_events()
returns integer
language sql stable
as $$
    select coalesce(bit_or(wanted.wanted_events), 0)
    from (
        select e.wanted_events from webhook_endpoints e where e.status = 'enabled' or e.disabled_reason = 'failing'
        union all
        select f.wanted_events from event_feed f) wanted
$$;
