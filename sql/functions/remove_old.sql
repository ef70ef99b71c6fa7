-- Removes rows that are old enough, up to p_limit of each kind. They are idempotency keys of buyers and operators, holds
-- that lapsed or were released, payment failures whose order never came, and refunds and disputes whose payment never came. A
-- success whose order never came is money: it becomes refund_due and stays. Returns how many rows there were, and when to
-- look again.
--
-- Sessions of operators belong to no product, so the job of each product removes those that have ended. It also removes the
-- oldest events of all products, with their deliveries, so they need no index by product and age, and the pending deliveries
-- of deleted endpoints. None of these changes when to look again: the jobs of all products would run at that time.
--
-- A hold stays as long as a key leads to it, however short its own period is. Locked rows are left for the next time. No
-- period is shorter than the owner of the tables allows: see minimum_retention.
create or replace function remove_old(
    p_product_id integer, p_limit integer, p_key_ttl_us bigint, p_hold_retention_us bigint, p_parked_ttl_us bigint)
returns table (removed integer, next_at timestamptz)
language plpgsql
set enable_seqscan = off
as $$
declare
    c_soonest constant interval := interval '1 second';
    c_latest  constant interval := interval '1 hour';
    c_longest_us constant bigint := 100::bigint * 366 * 24 * 3600 * 1000000;  -- a century
    -- A provider repeats an event for some days at most, and no hold lives that long.
    c_parked_event_ttl constant interval := interval '30 days';
    c_event_retention  constant interval := interval '30 days';
    c_most_batches     constant integer := 1000;
    v_now     timestamptz := clock_timestamp();
    v_key_ttl        interval;
    v_hold_retention interval;
    v_parked_ttl     interval;
    v_keys   integer := 0;
    v_admin_keys integer := 0;
    v_holds  integer := 0;
    v_events integer := 0;
    v_sessions integer := 0;
    v_news   integer := 0;
    v_deliveries integer;
    v_old    record;
begin
    if (p_limit between 1 and 10000
        and least(p_key_ttl_us, p_hold_retention_us, p_parked_ttl_us) >= 0
        and greatest(p_key_ttl_us, p_hold_retention_us, p_parked_ttl_us) <= c_longest_us) is not true
    then
        perform refuse_arguments();
    end if;
    select greatest(p_key_ttl_us * interval '1 microsecond', m.idempotency_key),
           greatest(p_parked_ttl_us * interval '1 microsecond', m.parked_event)
    into strict v_key_ttl, v_parked_ttl
    from minimum_retention m;
    v_hold_retention := greatest(p_hold_retention_us * interval '1 microsecond', v_key_ttl);

    for v_old in
        select old.key, old.customer_id
        from idempotency_keys old
        where old.product_id = p_product_id and old.created_at <= v_now - v_key_ttl
        order by old.created_at
        limit p_limit
        for update skip locked
    loop
        delete from idempotency_keys k
        where k.product_id = p_product_id and k.key = v_old.key and k.customer_id = v_old.customer_id;
        v_keys := v_keys + 1;
    end loop;

    for v_old in
        select old.scope, old.key
        from admin_idempotency_keys old
        where old.product_id = p_product_id and old.created_at <= v_now - v_key_ttl
        order by old.created_at
        limit p_limit
        for update skip locked
    loop
        delete from admin_idempotency_keys k where k.scope = v_old.scope and k.key = v_old.key;
        v_admin_keys := v_admin_keys + 1;
    end loop;

    -- A batch has only the ids of its holds, and the rest is read when it is dispatched. After a pause of all servers, both may
    -- come at once:
    --
    --     worker:  expires a hold that lapsed a month ago, and adds the batch
    --     removal: removes the hold
    --     server:  dispatches the batch, and finds nothing to tell
    --
    -- So holds wait for the product's batches of holds. Both are read in one statement: the hold's new status and its batch are
    -- visible together. Of a long queue only the first batches are read, and holds wait until it is shorter.
    for v_old in
        select old.id
        from holds old
        where old.product_id = p_product_id and old.status in ('released', 'expired')
          and old.expires_at <= v_now - v_hold_retention
          and not exists (
              select
              from (
                  select b.product_id, b.type, row_number() over (order by b.id) as n
                  from event_batches b
                  order by b.id
                  limit c_most_batches) b
              where b.product_id = p_product_id and b.type like 'hold.%' or b.n = c_most_batches)
          and not exists (
              select from idempotency_keys k
              where k.product_id = p_product_id and k.hold_id = old.id
              offset 0)
        order by old.expires_at
        limit p_limit
        for update skip locked
    loop
        delete from holds h where h.product_id = p_product_id and h.id = v_old.id;
        v_holds := v_holds + 1;
    end loop;

    -- A repeat of a parked event and its removal could meet:
    --
    --     removal: deletes the event, not yet committed
    --     repeat:  finds the event and is answered "parked"
    --     removal: commits; the event is never applied
    --
    -- So both take the lock on the event's key, the repeat before it reads. Here the lock is only tried: a worker waits for
    -- no provider. A later statement reads whether the event is still old, and sees a repeat that was answered meanwhile.
    for v_old in
        select old.idempotency_key, old.payment_key
        from payment_events old
        where old.product_id = p_product_id and old.verdict = 'parked'
          and case old.status
              when 'success' then old.received_at <= v_now - v_parked_ttl
              else greatest(old.received_at, old.told_at) <= v_now - c_parked_event_ttl
          end
        limit p_limit
    loop
        continue when not pg_try_advisory_xact_lock(event_lock(v_old.idempotency_key));
        -- Its payment may come now: see decide_refunds. Null without a payment's key.
        continue when not pg_try_advisory_xact_lock(event_lock(v_old.payment_key));
        -- place_orders locks the events that it applies, settle_refund the one that it settles.
        perform from payment_events e
        where e.idempotency_key = v_old.idempotency_key and e.product_id = p_product_id and e.verdict = 'parked'
        for update skip locked;
        continue when not found;
        update payment_events e
        set verdict = 'refund_due'
        where e.idempotency_key = v_old.idempotency_key and e.product_id = p_product_id and e.status = 'success';
        if found then
            v_events := v_events + 1;
            perform add_verdict_events(
                p_product_id, array[v_old.idempotency_key]::text[], '{refund_due}', wanted_events(p_product_id));
            perform decide_refunds(p_product_id, array[v_old.idempotency_key]);
            continue;
        end if;
        delete from payment_events e
        where e.idempotency_key = v_old.idempotency_key and e.product_id = p_product_id and e.status <> 'success'
          and greatest(e.received_at, e.told_at) <= v_now - c_parked_event_ttl;
        v_events := v_events + found::integer;
    end loop;

    -- An event stays while a delivery of it is pending at an endpoint that is enabled. A server that redelivers an event has
    -- its row locked.
    for v_old in
        select locked.product_id, locked.id
        from (
            select e.product_id, e.id, e.created_at from events e order by e.transaction_id, e.number limit p_limit) old
        cross join lateral (
            select e.product_id, e.id from events e
            where e.product_id = old.product_id and e.id = old.id
            for update skip locked) locked
        where old.created_at <= v_now - c_event_retention
          and not exists (
              select from deliveries d
              join webhook_endpoints w on w.id = d.endpoint_id and w.status = 'enabled'
              where d.product_id = old.product_id and d.event_id = old.id and d.status = 'pending'
              offset 0)
    loop
        delete from deliveries d where d.product_id = v_old.product_id and d.event_id = v_old.id;
        delete from events e where e.product_id = v_old.product_id and e.id = v_old.id;
        v_news := v_news + 1;
    end loop;

    -- Whoever deleted the endpoint removes them. This removes what is left after a crash.
    select r.removed into v_deliveries from remove_deliveries(deleted_endpoint(), p_limit) r;

    for v_old in
        select old.token_digest
        from admin_sessions old
        where old.expires_at <= v_now
        order by old.expires_at
        limit p_limit
        for update skip locked
    loop
        delete from admin_sessions s where s.token_digest = v_old.token_digest;
        v_sessions := v_sessions + 1;
    end loop;

    removed := v_keys + v_admin_keys + v_holds + v_events + v_sessions + v_news + v_deliveries;
    if p_limit in (v_keys, v_admin_keys, v_holds, v_events, v_sessions, v_news, v_deliveries) then
        next_at := v_now;
    else
        next_at := greatest(v_now + c_soonest, least(
            v_now + c_latest,
            -- The second condition lets PostgreSQL 18 use the index idempotency_keys_by_age. It drops `is not null` from
            -- queries of a column that cannot be null, but then does not see that the index has all rows.
            (select min(created_at) from idempotency_keys
             where product_id = p_product_id and created_at > '-infinity') + v_key_ttl,
            (select min(created_at) from admin_idempotency_keys where product_id = p_product_id) + v_key_ttl,
            (select min(expires_at) from holds
             where product_id = p_product_id and status in ('released', 'expired')) + v_hold_retention,
            (select min(case status
                            when 'success' then received_at + v_parked_ttl
                            else greatest(received_at, told_at) + c_parked_event_ttl
                        end)
             from payment_events
             where product_id = p_product_id and verdict = 'parked'),
            -- Rows that are made from now on are due after the shortest of the periods at the earliest.
            v_now + least(v_key_ttl, v_hold_retention, v_parked_ttl)));
    end if;
    return next;
end
$$;
