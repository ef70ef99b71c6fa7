-- Turns holds of one product into orders, each hold at most once: an order has its hold's number, so the primary key of
-- orders is what says "once".
--
-- Returns a row for each hold that exists: whether its order was placed now, the hold's status if there is no order, and
-- the order. Payment events that came before the order are applied here, in the transaction that places it.
create or replace function place_orders(p_product_id integer, p_hold_ids uuid[], p_ttl_us bigint)
returns table (
    hold_id uuid, is_placed boolean, hold_status text, is_rescheduled boolean,
    quantity integer, amount bigint, currency text, status text,
    payment_due_at timestamptz, created_at timestamptz, paid_at timestamptz)
language plpgsql
as $$
declare
    v_now    timestamptz;
    v_due    timestamptz;
    v_placed uuid[];
    v_event  payment_events;
    v_is_rescheduled boolean := false;
begin
    perform from holds h
    where h.product_id = p_product_id and h.id = any (p_hold_ids)
    order by h.expires_at, h.id
    for update;
    v_now := clock_timestamp();  -- after the wait for the lock: a buyer must not get an order for a lapsed hold

    -- Conditions on the status stay out of the where clause, here and below: they could lead the planner to the index of
    -- all active holds. The rows are locked, so what is read here is still so when they are updated.
    select array_agg(h.id) filter (where h.status = 'active' and h.expires_at > v_now) into v_placed
    from holds h
    where h.product_id = p_product_id and h.id = any (p_hold_ids);

    if v_placed is not null then
        v_due := date_trunc('milliseconds', v_now + p_ttl_us * interval '1 microsecond');
        insert into orders (product_id, id, quantity, amount, currency, payment_due_at, created_at)
        select h.product_id, h.id, h.quantity, h.quantity::bigint * p.price, p.currency, v_due, v_now
        from holds h
        join products p on p.id = h.product_id
        where h.product_id = p_product_id and h.id = any (v_placed);

        update holds h
        set status = 'ordered'
        where h.product_id = p_product_id and h.id = any (v_placed);

        v_is_rescheduled := schedule_job('expire_orders', p_product_id, v_due);

        -- Whoever parks an event holds the lock on the hold's row (see apply_payment_events), and this transaction has
        -- it now: every event that found no order has been committed and is seen by this statement.
        for v_event in
            select * from payment_events e
            where e.product_id = p_product_id and e.order_id = any (v_placed) and e.verdict = 'parked'
            order by e.received_at, e.idempotency_key
        loop
            update payment_events e
            set (verdict, order_status) = (
                select s.verdict, s.order_status
                from settle_payment_event(
                    p_product_id, v_event.order_id, v_event.status, v_event.amount, v_event.currency) s)
            where e.idempotency_key = v_event.idempotency_key and e.product_id = p_product_id;
        end loop;
    end if;

    return query
    select h.id, coalesce(h.id = any (v_placed), false),
           case when h.status = 'active' and h.expires_at <= v_now then 'expired' else h.status end,
           v_is_rescheduled,
           o.quantity, o.amount, o.currency, o.status, o.payment_due_at, o.created_at, o.paid_at
    from holds h
    left join orders o on o.product_id = h.product_id and o.id = h.id
    where h.product_id = p_product_id and h.id = any (p_hold_ids);
end
$$;
