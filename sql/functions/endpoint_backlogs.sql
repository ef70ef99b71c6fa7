-- Each endpoint with its pending deliveries, for operators and monitors. `pending` counts at most p_counted_max of them. `oldest` is
-- the time since which an enabled endpoint waits for an event, null when it waits for none. `last_error` is why a late attempt failed.
--
-- Both ends of deliveries_due are read, so the cost has a bound. Deliveries that are due come first there, the oldest of them at the
-- front. Those that have failed most often are at the back, because each pause is longer than the one before. So the oldest
-- delivery is at one of the ends, as a rule.
--
-- An event without deliveries belongs to all endpoints here. Such an event is old only if no server makes deliveries.
create or replace function endpoint_backlogs(p_counted_max integer)
returns table (
    endpoint_id uuid, url text, status text, failures integer, created_at timestamptz, pending bigint, oldest timestamptz,
    last_error text)
language sql stable
as $$
    select w.id, w.url::text, w.status::text, w.failures, w.created_at, due.pending,
           case when w.status = 'enabled' then least(due.oldest, retried.oldest, fresh.created_at) end,
           retried.last_error
    from webhook_endpoints w
    cross join lateral (
        select count(*) as pending, min(d.created_at) as oldest
        from (
            select *
            from deliveries d
            where d.endpoint_id = w.id and d.status = 'pending'
            order by d.next_at
            limit p_counted_max) d) due
    cross join lateral (
        select min(d.created_at) as oldest,
               (array_agg(coalesce(d.error, 'status ' || d.status_code) order by d.last_attempt_at desc)
                   filter (where d.last_attempt_at is not null))[1] as last_error
        from (
            select *
            from deliveries d
            where d.endpoint_id = w.id and d.status = 'pending'
            order by d.next_at desc
            limit 10) d) retried
    left join (
        select e.created_at from events e where not e.is_dispatched order by e.transaction_id limit 1) fresh on true
$$;
