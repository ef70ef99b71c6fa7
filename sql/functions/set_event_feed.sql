-- Sets the types of events that are recorded for clients that poll. The feed is off with an empty list.
--
-- p_who and p_request_id go into the log: see record_admin_change.
create or replace function set_event_feed(
    p_event_types text[], p_who text default null, p_request_id text default null)
returns table (event_types text[])
language plpgsql
security definer set search_path = pg_catalog, flashsale, pg_temp
as $$
declare
    v_old text[];
begin
    if event_mask(p_event_types) is null then
        perform refuse_arguments();
    end if;
    perform pg_advisory_xact_lock(subscription_lock());
    select f.event_types into v_old from event_feed f;
    if v_old <> p_event_types then
        update event_feed f set event_types = p_event_types, wanted_events = event_mask(p_event_types);
        perform spread_wanted_events();
        perform record_admin_change(
            p_who, p_request_id, 'event_feed.updated', null,
            jsonb_build_object('events', v_old), jsonb_build_object('events', p_event_types));
    end if;
    event_types := p_event_types;
    return next;
end
$$;
