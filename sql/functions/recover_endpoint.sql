-- Sends to an endpoint what it missed since p_since: deliveries that failed, and events that it wants and that were never sent
-- to it. What it has received is not sent again. Enables the endpoint. Returns how many deliveries are pending for it now. No
-- row for an unknown endpoint.
--
-- Events older than 29 days are left out. Retention may remove them at this moment:
--
--     retention: deletes an event and its deliveries, not yet committed
--     this:      reads the event, inserts a delivery of it, commits
--     retention: commits; the delivery has no event, and is leased again and again
--
-- p_who and p_request_id go into the log: see record_admin_change.
create or replace function recover_endpoint(
    p_id uuid, p_since timestamptz, p_who text default null, p_request_id text default null)
returns table (pending bigint)
language plpgsql
security definer set search_path = pg_catalog, flashsale, pg_temp
set enable_seqscan = off
as $$
declare
    c_oldest constant interval := interval '29 days';  -- less than in remove_old
    v_now   timestamptz;
    v_since timestamptz;
begin
    if p_since is null then
        perform refuse_arguments();
    end if;
    perform pg_advisory_xact_lock(subscription_lock());
    perform from webhook_endpoints w where w.id = p_id for no key update;
    if not found then
        return;
    end if;
    while dispatch_events(1000) > 0 loop
    end loop;
    v_now := clock_timestamp();
    v_since := greatest(p_since, v_now - c_oldest);
    update deliveries d
    set status = 'pending', attempts = 0, next_at = v_now, lease_id = null
    from events e
    where d.endpoint_id = p_id and d.status = 'failed'
      and e.product_id = d.product_id and e.id = d.event_id and e.created_at >= v_since;
    insert into deliveries (product_id, event_id, endpoint_id, next_at, created_at)
    select e.product_id, e.id, p_id, v_now, v_now
    from events e
    join webhook_endpoints w on w.id = p_id and w.wanted_events & event_bit(e.type) <> 0
    where e.created_at >= v_since
    on conflict on constraint deliveries_pkey do nothing;
    -- Last, because it locks the products. Buyers would wait for them while the deliveries are written.
    perform from update_endpoint(p_id, null, null, null, 'enabled', p_who, p_request_id);
    perform record_admin_change(
        p_who, p_request_id, 'webhook_endpoint.recovered', null, null,
        jsonb_build_object('id', 'we_' || replace(p_id::text, '-', ''), 'since', rfc3339(p_since)));
    select count(*) into pending from deliveries d where d.endpoint_id = p_id and d.status = 'pending';
    return next;
end
$$;
