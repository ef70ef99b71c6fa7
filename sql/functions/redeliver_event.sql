-- Sends an event again: to the endpoints that it was sent to, and to those that want its type now. Returns to how many. No row
-- for an unknown event.
--
-- A delivery that a server has leased is due at once, and the server's result no longer counts. The endpoint may get the event
-- twice, which is what the operator asks for.
--
-- p_who and p_request_id go into the log: see record_admin_change.
create or replace function redeliver_event(
    p_product_id integer, p_event_id uuid, p_who text default null, p_request_id text default null)
returns table (delivery_count integer)
language plpgsql
security definer set search_path = pg_catalog, flashsale, pg_temp
set enable_seqscan = off
as $$
declare
    v_type text;
    v_now  timestamptz;
begin
    perform pg_advisory_xact_lock_shared(subscription_lock());
    -- As record_deliveries: endpoints, then deliveries. Two that lock the same deliveries in other orders could deadlock.
    perform from webhook_endpoints w order by w.id for no key update;
    -- Retention deletes an event with its deliveries.
    select e.type into v_type
    from events e
    where e.product_id = p_product_id and e.id = p_event_id
    for key share;
    if not found then
        return;
    end if;
    v_now := clock_timestamp();
    insert into deliveries as d (product_id, event_id, endpoint_id, next_at, created_at)
    select p_product_id, p_event_id, w.id, v_now, v_now
    from webhook_endpoints w
    where w.wanted_events & event_bit(v_type) <> 0
       or exists (
           select from deliveries known
           where known.product_id = p_product_id and known.event_id = p_event_id and known.endpoint_id = w.id)
    on conflict on constraint deliveries_pkey do update
    set status = 'pending', attempts = 0, next_at = v_now, lease_id = null;
    get diagnostics delivery_count = row_count;
    perform record_admin_change(
        p_who, p_request_id, 'event.redelivered', nullif(p_product_id, 0), null,
        jsonb_build_object('id', 'evt_' || replace(p_event_id::text, '-', '')));
    return next;
end
$$;
