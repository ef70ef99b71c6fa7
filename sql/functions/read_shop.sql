-- The shop in one snapshot, for operators who watch it. Four kinds of rows follow each other, each with columns of its own.
-- The columns of the other kinds are null.
--
-- One row of the shop:
--   as_of            the time of the snapshot
--   late_us          how late the oldest due job is that expires holds or orders, in microseconds; 0 when none is due
--   more_products    how many products are left out
--   refund_due, amount_mismatch, parked
--                    how many successful payments wait for an operator, by verdict
-- Up to 20 rows of these payments, the oldest first. Their amount and currency are the order's if the event has none.
-- A row for each endpoint of events, the oldest first:
--   endpoint_pending deliveries and events that wait for it, at most 1000
--   endpoint_oldest_us
--                    how long an enabled endpoint waits for an event, in microseconds; null when it waits for none
--   endpoint_error   why a late attempt failed; null when none has failed
-- A row for each of the newest 200 products, by id. The first columns are those of read_products, then come:
--   held_stock       units in active holds that have not lapsed
--   unpaid_stock     units in unpaid orders
--   paid_stock       units in paid orders, and in refunded ones that were not restocked. With available_stock, the three add up
--                    to total_stock
--   holds            holds that were made in the last second, by the clock of the server that made them
--   orders           orders that were placed in the last second. An order is missing if an event that came before that second
--                    was parked and paid or cancelled it, or if it has expired meanwhile
--   payments         successful payments that paid an order and came in the last second
--
-- The last second is the last whole second that ended at least 250 ms ago. What was made in it is then committed, as a rule. No
-- counter tells these numbers, because each sale would have to write it. The ids of holds begin with their second, so the
-- holds of a second are neighbours in the index. Unpaid orders have an index, and payment events are indexed by arrival.
create or replace function read_shop()
returns table (
    as_of timestamptz, late_us bigint, more_products bigint, refund_due bigint, amount_mismatch bigint, parked bigint,
    event_key text, event_order_id uuid, event_verdict text, event_amount bigint, event_currency text,
    event_received_at timestamptz,
    endpoint_id uuid, endpoint_url text, endpoint_status text, endpoint_failures integer, endpoint_pending bigint,
    endpoint_oldest_us bigint, endpoint_error text,
    id integer, name text, price integer, currency text, total_stock integer, available_stock integer, status text,
    starts_at timestamptz, ends_at timestamptz, max_quantity_per_hold integer, max_per_customer integer,
    held_stock bigint, unpaid_stock bigint, paid_stock bigint, holds bigint, orders bigint, payments bigint)
language plpgsql
security definer set search_path = pg_catalog, flashsale, pg_temp
-- As for lapsed_units: a bitmap scan would visit the index entries of all orders that were ever unpaid, until the next vacuum.
set enable_seqscan = off set enable_bitmapscan = off set max_parallel_workers_per_gather = 0
as $$
begin
    return query
    -- The clock belongs to the snapshot: see read_products.
    with clock as materialized (
        select clock_timestamp() as now
    ),
    span as materialized (
        select c.now, s.start, s.start + interval '1 second' as finish, extract(epoch from s.start)::bigint as number
        from clock c
        cross join lateral (
            select date_trunc('second', c.now - interval '250 milliseconds') - interval '1 second' as start) s
    ),

    -- Events that changed an order's status, since the beginning of that second.
    effects as materialized (
        select e.product_id, e.order_id, e.status = 'success' and e.received_at < span.finish as is_payment,
               e.verdict = 'applied' as is_first
        from span
        cross join lateral (
            select * from payment_events e where e.received_at >= span.start offset 0) e
        where e.status in ('success', 'failed') and e.verdict in ('applied', 'reacquired')
    ),
    -- The first event with an effect on an order ends its time as an unpaid order. An order has one such event at most.
    decided as (
        select e.product_id, count(*) filter (where e.is_payment) as payments,
               count(*) filter (where o.created_at >= span.start and o.created_at < span.finish) as orders
        from span
        cross join effects e
        left join lateral (
            select * from orders o
            where e.is_first and o.product_id = e.product_id and o.id = e.order_id
            offset 0) o on true
        group by e.product_id
    ),

    listed as materialized (
        select p.* from products p order by p.id desc limit 200
    ),
    counted as (
        select p.*, span.now, p.available_stock + lapsed.units as available,
               p.total_stock - p.available_stock - lapsed.units - ordered.units as held,
               unpaid.units as unpaid, ordered.units - unpaid.units as paid,
               made.holds, unpaid.orders + coalesce(decided.orders, 0) as orders,
               coalesce(decided.payments, 0) as payments
        from span
        cross join listed p
        join ordered_stock ordered on ordered.product_id = p.id
        cross join lateral (
            -- The call takes longer than the rest for a product. Mostly nothing has lapsed.
            select case
                when exists (
                    select from holds h where h.product_id = p.id and h.status = 'active' and h.expires_at <= span.now)
                then lapsed_units(p.id, span.now)
                else 0
            end as units
            offset 0) lapsed
        cross join lateral (
            select coalesce(sum(o.quantity), 0) as units,
                   count(*) filter (where o.created_at >= span.start and o.created_at < span.finish) as orders
            from orders o
            -- The last condition holds for every order. It makes the index of unpaid orders look cheapest.
            where o.product_id = p.id and o.status = 'pending_payment' and o.payment_due_at > '-infinity') unpaid
        cross join lateral (
            select count(*) as holds
            from holds h
            where h.product_id = p.id
              and h.id >= first_hold_id(p.id, span.number) and h.id < first_hold_id(p.id, span.number + 1)) made
        left join decided on decided.product_id = p.id
    ),
    figures as (
        select c.id, c.name::text, c.price::integer, c.currency::text, c.total_stock,
               c.available::integer as available_stock,
               product_status(c.starts_at, c.ends_at, c.is_paused, c.now, c.available, c.held + c.unpaid > 0) as status,
               c.starts_at, c.ends_at, c.max_quantity_per_hold::integer, c.max_per_customer::integer,
               c.held, c.unpaid, c.paid, c.holds, c.orders, c.payments
        from counted c
    ),

    waiting as (
        select count(*) filter (where e.verdict = 'refund_due') as refund_due,
               count(*) filter (where e.verdict = 'amount_mismatch') as amount_mismatch,
               count(*) filter (where e.verdict = 'parked') as parked
        from payment_events e
        -- With `or`, PostgreSQL cannot look up the verdicts in payment_events_by_verdict, which has settled payments, too. It
        -- reads payment_events_waiting.
        where e.status = 'success' and (e.verdict = 'refund_due' or e.verdict = 'amount_mismatch' or e.verdict = 'parked')
          and e.settled_at is null
    ),
    oldest as (
        select e.idempotency_key::text as key, e.order_id, e.verdict::text, coalesce(e.amount, o.amount::bigint) as amount,
               coalesce(e.currency, o.currency) as currency, e.received_at
        from (
            select *
            from payment_events e
            where e.status = 'success' and (e.verdict = 'refund_due' or e.verdict = 'amount_mismatch' or e.verdict = 'parked')
              and e.settled_at is null
            order by e.received_at, e.idempotency_key
            limit 20) e
        left join lateral (
            select * from orders o where o.product_id = e.product_id and o.id = e.order_id offset 0) o on true
    ),

    endpoints as (
        select b.endpoint_id, b.url, b.status, b.failures, b.pending,
               (extract(epoch from span.now - b.oldest) * 1000000)::bigint as oldest_us, b.last_error, b.created_at
        from span
        cross join endpoint_backlogs(1000) b
    ),

    shop as (
        select span.now,
               greatest(0, (extract(epoch from span.now - least(
                   (select min(j.run_at)
                    from scheduled_jobs j
                    where j.rank = 0 and coalesce(j.retry_at, j.run_at) <= span.now),
                   (select min(j.run_at) from scheduled_jobs j where j.rank = 1))) * 1000000)::bigint) as late_us,
               (select count(*) from (select from products p order by p.id desc offset 200) p) as more_products,
               waiting.refund_due, waiting.amount_mismatch, waiting.parked
        from span
        cross join waiting
    )

    select shop.*, oldest.*, endpoints.endpoint_id, endpoints.url, endpoints.status, endpoints.failures, endpoints.pending,
           endpoints.oldest_us, endpoints.last_error, figures.*
    from shop
    full join oldest on false
    full join endpoints on false
    full join figures on false
    order by figures.id nulls first, endpoints.created_at nulls first, endpoints.endpoint_id nulls first,
             oldest.received_at nulls first, oldest.key;
end
$$;
