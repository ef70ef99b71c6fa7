-- A page of all that is stored about a customer of one product: each line is a JSON object. A hold comes first, then its keys,
-- its order, the payment events and the refunds of the order. p_after, p_after_id and the result are positions, as in
-- holds_of_customer.
create or replace function export_customer(
    p_product_id integer, p_customer_id text, p_after timestamptz, p_after_id uuid, p_limit integer)
returns table (next_after timestamptz, next_id uuid, lines text[])
language plpgsql
security definer set search_path = pg_catalog, flashsale, pg_temp
set enable_seqscan = off
as $$
declare
    v_ids uuid[];
begin
    perform refuse_server_roles();
    if (p_limit between 1 and 10000) is not true then
        perform refuse_arguments();
    end if;
    select page.hold_ids, page.next_after, page.next_id into v_ids, next_after, next_id
    from holds_of_customer(p_product_id, p_customer_id, p_after, p_after_id, p_limit) page;
    if v_ids = '{}' then
        lines := '{}';
        return next;
        return;
    end if;
    lines := array(
        select line.json
        from (
            select h.id, 1 as part, null::timestamptz as at, (
                select row_to_json(member)::text
                from (
                    select 'hold' as type, 'hold_' || replace(h.id::text, '-', '') as hold_id,
                           p_product_id as product_id, p_customer_id as customer_id, h.quantity, h.status,
                           rfc3339(h.expires_at) as expires_at, coalesce(h.metadata, '{}')::json as metadata
                ) member) as json
            from read_holds(p_product_id, v_ids) h
            union all
            select k.hold_id, 2, k.created_at, (
                select row_to_json(member)::text
                from (
                    select 'idempotency_key' as type, k.key, k.operation,
                           'hold_' || replace(k.hold_id::text, '-', '') as hold_id, rfc3339(k.created_at) as created_at
                ) member)
            from unnest(v_ids) as found (id)
            cross join lateral (
                select * from idempotency_keys k where k.product_id = p_product_id and k.hold_id = found.id offset 0) k
            union all
            select o.id, 3, null, (
                select row_to_json(member)::text
                from (
                    select 'order' as type, 'order_' || replace(o.id::text, '-', '') as order_id,
                           'hold_' || replace(o.id::text, '-', '') as hold_id, p_product_id as product_id, o.quantity,
                           o.amount, o.currency, o.status, rfc3339(o.payment_due_at) as payment_due_at,
                           rfc3339(o.created_at) as created_at, rfc3339(o.paid_at) as paid_at, o.refunded_amount, o.dispute,
                           coalesce(o.metadata, '{}')::json as metadata
                ) member)
            from read_orders(p_product_id, v_ids) o
            union all
            select e.order_id, 4, e.received_at, (
                select row_to_json(member)::text
                from (
                    select 'payment_event' as type, e.idempotency_key,
                           'order_' || replace(e.order_id::text, '-', '') as order_id, e.status, e.amount, e.currency,
                           e.verdict, e.order_status, rfc3339(e.received_at) as received_at,
                           rfc3339(e.settled_at) as settled_at, e.payment_key
                ) member)
            from unnest(v_ids) as found (id)
            cross join lateral (
                select * from payment_events e where e.product_id = p_product_id and e.order_id = found.id offset 0) e
            union all
            select r.order_id, 5, r.created_at, (
                select row_to_json(member)::text
                from (
                    select 'refund' as type, 'refund_' || replace(r.id::text, '-', '') as refund_id,
                           'order_' || replace(r.order_id::text, '-', '') as order_id, r.amount, r.is_restock as restock,
                           r.reason, r.source, rfc3339(r.created_at) as created_at
                ) member)
            from unnest(v_ids) as found (id)
            cross join lateral (
                select * from refunds r where r.product_id = p_product_id and r.order_id = found.id offset 0) r
        ) line
        order by line.id, line.part, line.at);
    return next;
end
$$;
