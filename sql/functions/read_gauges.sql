-- The gauges of the stock, of due jobs, of money that waits for an operator, and of deliveries of events. Each row is one value
-- of a metric. A null column is no label of it.
create or replace function read_gauges()
returns table (metric text, product_id integer, verdict text, currency text, status text, value double precision)
language sql stable
security definer set search_path = pg_catalog, flashsale, pg_temp
as $$
    with clock as materialized (select clock_timestamp() as now),

    -- The list has a bound. A shop with more products watches the first ones.
    stock as (
        select p.id, p.total_stock, p.available_stock + lapsed_units(p.id, clock.now) as available_stock
        from products p, clock
        order by p.id
        limit 1000
    ),

    late as (
        select count(*) as jobs, coalesce(extract(epoch from max(clock.now - j.run_at)), 0) as seconds
        from scheduled_jobs j, clock
        where j.run_at <= clock.now
    ),

    -- Money that belongs to no order, or not to an order of that price.
    waiting as materialized (
        select e.verdict, e.received_at, coalesce(e.amount, o.amount) as amount,
               coalesce(e.currency, o.currency) as currency
        from payment_events e
        left join orders o on o.product_id = e.product_id and o.id = e.order_id
        where e.verdict in ('refund_due', 'amount_mismatch', 'parked')
          and e.status = 'success' and e.settled_at is null
    ),

    -- Every verdict has a value, also when no money waits, so an alert can tell zero from missing.
    verdicts (verdict) as (values ('refund_due'), ('amount_mismatch'), ('parked')),

    endpoints as materialized (select * from endpoint_backlogs(20000)),
    statuses (status) as (values ('enabled'), ('disabled'))

    select 'flashsale_product_total_stock', s.id, null::text, null::text, null::text, s.total_stock::double precision
    from stock s
    union all
    select 'flashsale_product_available_stock', s.id, null, null, null, s.available_stock
    from stock s
    union all
    select 'flashsale_jobs_due', null, null, null, null, l.jobs
    from late l
    union all
    select 'flashsale_jobs_oldest_lag_seconds', null, null, null, null, l.seconds
    from late l
    union all
    select 'flashsale_money_waiting_events', null, v.verdict, null, null, count(w.verdict)
    from verdicts v
    left join waiting w on w.verdict = v.verdict
    group by v.verdict
    union all
    select 'flashsale_money_waiting_oldest_seconds', null, v.verdict, null, null,
           coalesce(extract(epoch from max(clock.now - w.received_at)), 0)
    from verdicts v
    cross join clock
    left join waiting w on w.verdict = v.verdict
    group by v.verdict
    union all
    -- Only currencies that a product is sold in. A sender's text must not become a label.
    select 'flashsale_money_waiting_amount', null, w.verdict, w.currency, null, sum(w.amount)
    from waiting w
    where w.amount is not null and w.currency in (select p.currency from products p)
    group by w.verdict, w.currency
    union all
    -- The events of a disabled endpoint wait on purpose.
    select 'flashsale_event_deliveries_pending', null, null, null, null, coalesce(sum(e.pending), 0)
    from endpoints e
    where e.status = 'enabled'
    union all
    select 'flashsale_event_deliveries_oldest_seconds', null, null, null, null,
           coalesce(extract(epoch from max(clock.now - e.oldest)), 0)
    from clock
    left join endpoints e on true
    union all
    select 'flashsale_webhook_endpoints', null, null, null, s.status, count(e.status)
    from statuses s
    left join endpoints e on e.status = s.status
    group by s.status
$$;
