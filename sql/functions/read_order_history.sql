-- An order, its newest p_limit payment events and its newest p_limit refunds. Three kinds of rows follow each other: the order,
-- the events, the refunds. Events and refunds are in the order of time. Each kind has columns of its own, and the columns of
-- the other kinds are null. An event has the columns of list_payment_events. The columns from id on are those of read_orders. No
-- row for an unknown order.
--
-- One statement reads all three, because each statement has a snapshot of its own. With three statements, an operator could
-- see an order that is refunded without a refund:
--
--     this:  reads the refunds; there are none
--     other: records a refund of the whole amount, and commits
--     this:  reads the order, which is refunded
create or replace function read_order_history(p_product_id integer, p_order_id uuid, p_limit integer)
returns table (
    kind text,
    event_key text, event_order_id uuid, event_status text, event_amount bigint, event_currency text,
    event_verdict text, event_order_status text, event_received_at timestamptz, event_settled_at timestamptz,
    event_payment_key text,
    refund_id uuid, refund_order_id uuid, refund_amount bigint, refund_currency text, refund_is_restock boolean,
    refund_reason text, refund_source text, refund_created_at timestamptz,
    customer_id text, is_restocked boolean,
    id uuid, quantity integer, amount bigint, currency text, status text, payment_due_at timestamptz,
    created_at timestamptz, paid_at timestamptz, refunded_amount bigint, dispute text, metadata text)
language plpgsql stable
security definer set search_path = pg_catalog, flashsale, pg_temp
set enable_seqscan = off
as $$
begin
    if (p_limit between 1 and 1000) is not true then
        perform refuse_arguments();
    end if;
    return query
    with found as materialized (
        select h.customer_id::text, o.is_restocked, o.id, o.quantity::integer, o.amount::bigint, o.currency, o.status::text,
               o.payment_due_at, o.created_at, o.paid_at, o.refunded_amount, o.dispute, o.metadata::text
        from orders o
        join holds h on h.product_id = o.product_id and h.id = o.id
        where o.product_id = p_product_id and o.id = p_order_id
    ),
    events as (
        select e.idempotency_key::text as key, e.order_id, e.status::text, e.amount, e.currency,
               e.verdict::text, e.order_status, e.received_at, e.settled_at, e.payment_key
        from payment_events e
        where e.product_id = p_product_id and e.order_id = p_order_id and exists (select from found)
        order by e.received_at desc, e.idempotency_key desc
        limit p_limit
    ),
    given_back as (
        select r.id as refund_id, r.order_id, r.amount::bigint, (select f.currency from found f), r.is_restock, r.reason::text,
               r.source::text, r.created_at as refunded_at
        from refunds r
        where r.product_id = p_product_id and r.order_id = p_order_id and exists (select from found)
        order by r.created_at desc, r.id desc
        limit p_limit
    )
    select case when found.id is not null then 'order' when events.key is not null then 'event' else 'refund' end,
           events.*, given_back.*, found.*
    from found
    full join events on false
    full join given_back on false
    order by given_back.refunded_at nulls first, given_back.refund_id, events.received_at nulls first, events.key;
end
$$;
