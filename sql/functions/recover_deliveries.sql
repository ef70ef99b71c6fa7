-- A step of an endpoint's recovery: reads up to p_limit events, in the order in which they were dispatched, and sends those that
-- the endpoint missed: those whose delivery failed, and those that it wants and that were never sent to it. What it has
-- received is not sent again. Returns whether no event is left. No row for an unknown endpoint.
--
-- The place of the last event that was read is stored in the same transaction. So the next step goes on there, whoever calls it.
-- A step that runs again after a lost answer is the next step.
--
-- Events older than 29 days are left out. Retention may remove them at this moment:
--
--     retention: deletes an event and its deliveries, not yet committed
--     this:      reads the event, inserts a delivery of it, commits
--     retention: commits; the delivery has no event, and is leased again and again
create or replace function recover_deliveries(p_id uuid, p_limit integer)
returns table (is_complete boolean)
language plpgsql
security definer set search_path = pg_catalog, flashsale, pg_temp
set enable_seqscan = off
as $$
declare
    c_oldest constant interval := interval '29 days';  -- less than in remove_old
    v_now      timestamptz;
    v_since    timestamptz;
    v_endpoint webhook_endpoints;
    v_event    record;
    v_status   text;
    v_count    integer := 0;
begin
    if (p_limit between 1 and 10000) is not true then
        perform refuse_arguments();
    end if;
    -- Shares subscription_lock until the end, so the endpoint is not deleted meanwhile. Batches that are left are dispatched
    -- later, and the endpoint gets their events as usual.
    perform dispatch_events(p_limit);
    -- Whoever else changes deliveries that failed, or inserts deliveries of these events, locks the endpoint first, too. So two
    -- recoveries read one page after the other.
    select * into v_endpoint from webhook_endpoints w where w.id = p_id for no key update;
    if not found then
        return;
    end if;
    is_complete := v_endpoint.recovery_at is null;
    if is_complete then
        return next;
        return;
    end if;
    v_now := clock_timestamp();
    v_since := greatest(v_endpoint.recovered_since, v_now - c_oldest);

    for v_event in
        select e.product_id, e.id, e.type, e.created_at, e.transaction_id, e.number
        from events e
        where (e.transaction_id, e.number) > (v_endpoint.recovery_transaction_id, v_endpoint.recovery_number)
        order by e.transaction_id, e.number
        limit p_limit
    loop
        v_count := v_count + 1;
        v_endpoint.recovery_transaction_id := v_event.transaction_id;
        v_endpoint.recovery_number := v_event.number;
        continue when v_event.created_at < v_since;
        -- Without a condition on the status, only the primary key serves these statements. A plan for few failed deliveries
        -- may read all of them.
        select d.status into v_status
        from deliveries d
        where d.product_id = v_event.product_id and d.event_id = v_event.id and d.endpoint_id = p_id;
        if not found and v_endpoint.wanted_events & event_bit(v_event.type) <> 0 then
            insert into deliveries (product_id, event_id, endpoint_id, next_at, created_at)
            values (v_event.product_id, v_event.id, p_id, v_now, v_now)
            on conflict on constraint deliveries_pkey do nothing;
        elsif v_status = 'failed' then
            update deliveries d
            set status = 'pending', attempts = 0, next_at = v_now, lease_id = null
            where d.product_id = v_event.product_id and d.event_id = v_event.id and d.endpoint_id = p_id;
        end if;
    end loop;

    is_complete := v_count < p_limit;
    update webhook_endpoints w
    set recovery_transaction_id = case when not is_complete then v_endpoint.recovery_transaction_id end,
        recovery_number         = case when not is_complete then v_endpoint.recovery_number end,
        recovery_at             = case when not is_complete then v_now end
    where w.id = p_id;
    return next;
end
$$;
