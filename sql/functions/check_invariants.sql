-- Checks everything that is true of the data at any moment. It is a single statement, so it sees one snapshot. Returns for
-- each check how many rows break it.
create or replace function check_invariants()
returns table (name text, description text, violations bigint)
language sql stable
security definer set search_path = pg_catalog, flashsale, pg_temp
as $$
    with held as (
        select product_id, sum(quantity) as units from holds where status = 'active' group by product_id
    ), ordered as (
        select product_id, sum(quantity) as units from orders
        where status in ('pending_payment', 'paid', 'refunded') and not is_restocked
        group by product_id
    )
    select 'stock_is_conserved',
           'total stock = available + units in active holds + units in live orders', count(*)
    from products p
    left join held on held.product_id = p.id
    left join ordered on ordered.product_id = p.id
    where p.total_stock <> p.available_stock + coalesce(held.units, 0) + coalesce(ordered.units, 0)
    union all
    select 'stock_is_in_range', '0 <= available stock <= total stock', count(*)
    from products p
    where p.available_stock not between 0 and p.total_stock
    union all
    select 'ordered_stock_is_counted', 'ordered stock = units in live orders', count(*)
    from products p
    left join ordered_stock s on s.product_id = p.id
    left join ordered on ordered.product_id = p.id
    where s.units is distinct from coalesce(ordered.units, 0)
    union all
    select 'ordered_holds_have_their_order', 'a hold is ordered if and only if its order exists, for as many units',
           count(*)
    from holds h
    full join orders o on o.product_id = h.product_id and o.id = h.id
    where (o.id is not null or h.status = 'ordered')
      and (o.quantity = h.quantity and h.status = 'ordered') is not true
    union all
    select 'paid_orders_have_one_payment',
           'an order is paid or refunded if and only if exactly one success took effect on it', count(*)
    from orders o
    full join (
        select product_id, order_id, count(*) as payments
        from payment_events
        where status = 'success' and verdict in ('applied', 'reacquired')
        group by product_id, order_id
    ) e on e.product_id = o.product_id and e.order_id = o.id
    where (o.status in ('paid', 'refunded')) is distinct from (e.payments = 1)
      and (o.status in ('paid', 'refunded') or e.payments > 0)
    union all
    select 'refunded_orders_have_no_money_left',
           'an order is refunded if and only if its refunded amount is what was paid; an unpaid order has no refund', count(*)
    from orders o
    where (o.status = 'refunded') <> (o.refunded_amount = o.amount) or o.refunded_amount not between 0 and o.amount
       or (o.refunded_amount > 0 and o.status not in ('paid', 'refunded')) or (o.is_restocked and o.status <> 'refunded')
    union all
    select 'refunds_add_up', 'the refunds of an order add up to its refunded amount', count(*)
    from (select o.product_id, o.id, o.refunded_amount from orders o where o.refunded_amount <> 0) o
    full join (
        select product_id, order_id, sum(amount) as amount from refunds group by product_id, order_id having sum(amount) <> 0
    ) r on r.product_id = o.product_id and r.order_id = o.id
    where o.refunded_amount is distinct from r.amount
    union all
    select 'cancelled_orders_have_their_failure', 'a cancelled order has exactly one failure that took effect', count(*)
    from orders o
    left join (
        select product_id, order_id, count(*) as failures
        from payment_events
        where status = 'failed' and verdict = 'applied'
        group by product_id, order_id
    ) e on e.product_id = o.product_id and e.order_id = o.id
    where o.status = 'cancelled' and e.failures is distinct from 1
    union all
    select 'no_event_waits_for_an_order_that_exists', 'parked payments and failures have no order', count(*)
    from payment_events e
    join orders o on o.product_id = e.product_id and o.id = e.order_id
    where e.verdict = 'parked' and e.status in ('success', 'failed')
    union all
    select 'no_refund_waits_for_a_decided_payment', 'the payment of a parked refund or dispute is not decided', count(*)
    from payment_events e
    join payment_events p
      on p.product_id = e.product_id and p.idempotency_key = e.payment_key and p.order_id = e.order_id and p.status = 'success'
    where e.verdict = 'parked' and p.verdict <> 'parked'
    union all
    select 'keys_lead_to_what_they_made', 'an idempotency key has its hold, of its customer, and its order if it placed one',
           count(*)
    from idempotency_keys k
    left join holds h on h.product_id = k.product_id and h.id = k.hold_id
    left join orders o on o.product_id = k.product_id and o.id = k.hold_id
    where h.id is null or k.customer_id <> coalesce(h.customer_id, '') or (k.operation = 'place_order' and o.id is null)
    union all
    select 'every_hold_will_expire', 'a product with active holds has a job that expires them', count(*)
    from products p
    where exists (select from holds h where h.product_id = p.id and h.status = 'active')
      and not exists (select from scheduled_jobs j where j.product_id = p.id and j.kind = 'expire_holds')
    union all
    select 'every_unpaid_order_will_expire', 'a product with unpaid orders has a job that expires them', count(*)
    from products p
    where exists (select from orders o where o.product_id = p.id and o.status = 'pending_payment')
      and not exists (select from scheduled_jobs j where j.product_id = p.id and j.kind = 'expire_orders')
    union all
    -- Events are removed after 30 days, so older objects may lack some.
    select 'orders_have_their_events', 'the events of an order have the versions from 1 to the order''s', count(*)
    from orders o
    left join (
        select product_id, substr(object_id, 7)::uuid as id,
               count(*) as events, count(distinct version) as versions, max(version) as last
        from written_events()
        where type like 'order.%'
        group by product_id, object_id
    ) e on e.product_id = o.product_id and e.id = o.id
    where o.created_at > clock_timestamp() - interval '29 days'
      and (coalesce(e.events, 0), coalesce(e.versions, 0), coalesce(e.last, 0)) <> (o.version, o.version, o.version)
    union all
    -- Of an older product only the events of 29 days are known. They follow one another, and end at the product's version.
    select 'products_have_their_events', 'the events of a product have the versions up to the product''s', count(*)
    from products p
    left join (
        select product_id, count(*) as events, min(version) as first, max(version) as last
        from written_events()
        where type like 'product.%' and created_at > clock_timestamp() - interval '29 days'
        group by product_id
    ) e on e.product_id = p.id
    left join (
        select product_id, min(changed_at) as at from admin_changes where action = 'product.created' group by product_id
    ) created on created.product_id = p.id
    where case
        when created.at > clock_timestamp() - interval '29 days' then
            (coalesce(e.events, 0), coalesce(e.last, 0)) <> (p.version, p.version)
        else e.last <> p.version or e.events <> e.last - e.first + 1 end
    union all
    select 'events_have_versions_of_their_own', 'no two events of an object have the same version', count(*)
    from (
        select from written_events()
        where type not like 'endpoint.%'
        group by product_id, object_id, version, split_part(type, '.', 1)
        having count(*) > 1
    ) repeated
    union all
    -- Deliveries of a deleted endpoint are removed in steps.
    select 'deliveries_have_event_and_endpoint',
           'a delivery has its event, and a pending one its endpoint, unless an operator deleted it', count(*)
    from deliveries d
    left join events e on e.product_id = d.product_id and e.id = d.event_id
    left join webhook_endpoints w on w.id = d.endpoint_id
    where e.id is null
       or (w.id is null and d.status = 'pending' and 'we_' || replace(d.endpoint_id::text, '-', '') <> all (array(
              select c.old_values ->> 'id' from admin_changes c where c.action = 'webhook_endpoint.deleted')))
$$;
