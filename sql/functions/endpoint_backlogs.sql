-- Each endpoint with what waits for it, for operators and monitors. `pending` counts its pending deliveries, and the events
-- that it will get when they are dispatched, at most p_counted_max. `oldest` is the time since which an enabled endpoint waits
-- for an event, null when it waits for none. `last_error` is why a late attempt failed.
--
-- The cost has a bound. Of the events that are not dispatched, the oldest 1000 batches are read. Of deliveries_due, both ends are
-- read. Deliveries that are due come first there, the oldest of them at the front. Those that have failed most often are at the
-- back, because each pause is longer than the one before. So the oldest delivery is at one of the ends, as a rule.
create or replace function endpoint_backlogs(p_counted_max integer)
returns table (
    endpoint_id uuid, url text, status text, failures integer, created_at timestamptz, pending bigint, oldest timestamptz,
    last_error text)
language sql stable
as $$
    with batches as materialized (
        select b.type, sum(cardinality(b.versions)) as events, min(b.created_at) as oldest
        from (select * from event_batches b order by b.id limit 1000) b
        group by b.type
    )
    select w.id, w.url::text, w.status::text, w.failures, w.created_at,
           least(p_counted_max, due.pending + coalesce(undispatched.events, 0)),
           case when w.status = 'enabled' then least(due.oldest, retried.oldest, undispatched.oldest) end,
           retried.last_error
    from webhook_endpoints w
    cross join lateral (
        -- A delivery that was not tried yet is due since its event.
        select count(*) as pending, min(least(d.created_at, d.next_at)) as oldest
        from (
            select *
            from deliveries d
            where d.endpoint_id = w.id and d.status = 'pending'
            order by d.next_at
            limit p_counted_max) d) due
    cross join lateral (
        select min(least(d.created_at, d.next_at)) as oldest,
               (array_agg(coalesce(d.error, 'status ' || d.status_code) order by d.last_attempt_at desc)
                   filter (where d.last_attempt_at is not null))[1] as last_error
        from (
            select *
            from deliveries d
            where d.endpoint_id = w.id and d.status = 'pending'
            order by d.next_at desc
            limit 10) d) retried
    cross join lateral (
        select sum(b.events)::bigint as events, min(b.oldest) as oldest
        from batches b
        where w.wanted_events & event_bit(b.type) <> 0 and (w.status = 'enabled' or w.disabled_reason = 'failing')) undispatched
$$;
