-- Leases deliveries that are due to a server, up to p_limit, and returns them with what is to be sent. New events are
-- dispatched first, so one round trip finds and leases their deliveries.
--
-- A server that does not record the result before its lease ends has crashed or is too slow. Then another server may claim
-- the delivery, and the result no longer counts: see record_deliveries.
--
-- Nothing is found by a number that grows. A transaction may commit late:
--
--     A:    adds batch 1, not committed
--     B:    adds batch 2, commits
--     this: dispatches all batches up to 2
--     A:    commits; nobody looks for batch 1 again
--
-- Here a batch is removed when it is dispatched, so the next call finds batch 1.
--
-- The last row has no delivery. Its next_in_us is the time until the next delivery is due, null when none is pending. It is 0
-- when more are due now. has_endpoints is false when no endpoint exists.
create or replace function claim_deliveries(p_lease_id uuid, p_limit integer)
returns table (
    product_id integer, event_id uuid, endpoint_id uuid, url text, secrets text[], attempt integer, body text,
    next_in_us bigint, has_endpoints boolean)
language plpgsql
security definer set search_path = pg_catalog, flashsale, pg_temp
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
declare
    -- A request may take 15 s: see the deliverer.
    c_lease constant interval := interval '30 seconds';
    -- After so many failures in a row, one delivery at a time shows whether the endpoint works again.
    c_most_failures constant integer := 5;
    -- About as many events as are dispatched at once.
    c_dispatched    constant integer := 500;
    -- The most deliveries of one endpoint that are leased at once, by all servers. A server sends 16 of them at a time. If it
    -- had leased more of a silent endpoint, they would take the places of other endpoints, and their leases would end.
    c_most_leased   constant integer := 64;
    v_now     timestamptz;
    v_probed  uuid[];
    v_healthy uuid[];
    v_share   integer;
    v_count   integer;  -- of dispatched batches
begin
    if (p_lease_id is not null and p_limit between 1 and 10000) is not true then
        perform refuse_arguments();
    end if;
    has_endpoints := exists (select from webhook_endpoints);
    -- A server whose places are nearly all taken claims a few deliveries. In a fixed order the same endpoints would get them
    -- every time.
    v_healthy := array(
        select w.id
        from webhook_endpoints w
        where w.status = 'enabled' and w.failures < c_most_failures
        order by random());
    -- Each endpoint has its share, so that one with many deliveries does not delay another.
    v_share := greatest(1, p_limit / greatest(1, cardinality(v_healthy)));

    -- Batches wait until the feed wants them or an endpoint is short of deliveries. So in a sale that writes more events than
    -- can be sent, the rest wait as batches, which cost least. Without an enabled endpoint, they are dispatched slowly.
    v_now := clock_timestamp();
    v_count := dispatch_events(case
        when exists (select from event_feed f where f.wanted_events <> 0) then c_dispatched
        when not exists (select from webhook_endpoints w where w.status = 'enabled') then 1
        when exists (
            select
            from webhook_endpoints w
            cross join lateral (select case when w.id = any (v_healthy) then v_share else 1 end) as least_due (count)
            where w.status = 'enabled' and least_due.count > (
                select count(*)
                from (
                    select from deliveries d
                    where d.endpoint_id = w.id and d.status = 'pending' and d.next_at <= v_now
                    limit v_share) due)) then c_dispatched
        else 0 end);
    v_now := clock_timestamp();

    -- Two servers must not probe one endpoint at once. The lock on its row is only tried: the other server probes it.
    v_probed := array(
        select w.id
        from webhook_endpoints w
        where w.status = 'enabled' and w.failures >= c_most_failures and coalesce(w.probe_at <= v_now, true)
        for no key update skip locked);
    -- A later statement sees the leases that were committed before the lock.
    v_probed := array(
        select probed.id
        from unnest(v_probed) as probed (id)
        where not exists (
            select from deliveries d
            where d.endpoint_id = probed.id and d.status = 'pending' and d.lease_id is not null
              and d.next_at > v_now and d.next_at <= v_now + c_lease));
    return query
    with due as (
        select d.product_id, d.event_id, d.endpoint_id
        -- Probes come first. Otherwise endpoints with many deliveries would leave no place for them.
        from unnest(v_probed || v_healthy) with ordinality as asked (id, n)
        cross join lateral (
            select * from deliveries d
            where d.endpoint_id = asked.id and d.status = 'pending' and d.next_at <= v_now
            order by d.next_at
            limit case when asked.n <= cardinality(v_probed) then 1 else greatest(0, least(v_share, c_most_leased - (
                select count(*) from deliveries l
                where l.endpoint_id = asked.id and l.status = 'pending' and l.lease_id is not null
                  and l.next_at > v_now and l.next_at <= v_now + c_lease))) end
            for update skip locked) d
        limit p_limit
    ), leased as (
        update deliveries d
        -- A lease that ended without a result counts as no attempt: its server had no place for the delivery, or crashed.
        -- Otherwise a delivery that a slow endpoint never got would fail.
        set lease_id = p_lease_id, next_at = v_now + c_lease,
            attempts = d.attempts + case when d.lease_id is null then 1 else 0 end
        from due
        where d.product_id = due.product_id and d.event_id = due.event_id and d.endpoint_id = due.endpoint_id
        returning d.product_id, d.event_id, d.endpoint_id, d.attempts
    )
    select l.product_id, l.event_id, l.endpoint_id, w.url::text,
           array_remove(
               array[w.secret, case when w.previous_secret_until > v_now then w.previous_secret end], null),
           l.attempts,
           '{"id":"evt_' || replace(l.event_id::text, '-', '') || '","type":"' || e.type || '","timestamp":"'
               || rfc3339(e.created_at) || '","data":' || e.data::text || '}',
           null::bigint, null::boolean
    from leased l
    join webhook_endpoints w on w.id = l.endpoint_id
    cross join lateral (
        select * from events e where e.product_id = l.product_id and e.id = l.event_id offset 0) e;

    if v_count > 0 and exists (select from event_batches) then
        next_in_us := 0;
    else
        -- greatest passes over nulls, and without a pending delivery the result is null.
        select case when min(due.at) is not null then
                   greatest(0, extract(epoch from min(due.at) - clock_timestamp()) * 1000000)::bigint
               end
        into next_in_us
        from webhook_endpoints w
        cross join lateral (
            select greatest(d.next_at, case when w.failures >= c_most_failures then w.probe_at end) as at
            from deliveries d
            where d.endpoint_id = w.id and d.status = 'pending'
            order by d.next_at
            limit 1) due
        where w.status = 'enabled';
    end if;
    return next;
end
$$;
