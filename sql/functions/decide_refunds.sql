-- Decides the parked refunds and disputes of the payments with these keys, payment by payment, in the order of arrival. Those
-- of a payment that is not recorded stay parked. Returns the money that it added to refunded amounts, in minor units, and the
-- currency; 0 and null when there was none.
--
-- A refund may name the total of its payment so far, or one amount. The largest total and the sum of the amounts describe the
-- same money, and so do an operator's records. So an order's refunded amount is the largest of them, at most what was paid.
-- A repeat adds nothing.
--
-- A payment that pays no order is settled once its refunds cover it. Until then the refunds of a parked payment stay parked,
-- since the payment may still pay its order.
--
-- Nothing else may decide or settle these payments at the same time, or record their refunds:
--
--     refund:  looks for its payment, finds none, is parked
--     payment: looks for parked refunds, finds none, commits
--     refund:  commits; it is never decided
--
-- So the caller has the event_lock of each key. place_orders has the lock on the hold instead, and has the events locked: a batch
-- that records an event of the payment waits for the hold. The caller has also locked the orders that these payments paid.
create or replace function decide_refunds(
    p_product_id integer, p_payment_keys text[], out refunded bigint, out refunded_currency text)
language plpgsql
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
declare
    c_disputed    constant text := 'order.disputed';
    c_is_disputed_wanted constant boolean := wanted_events(p_product_id) & event_bit(c_disputed) <> 0;
    v_payment record;
    v_event   record;
    v_order   record;
    v_refund  refunds;
    v_total   numeric;  -- the largest total that a refund named
    v_sum     numeric;  -- of single refunds
    v_back    numeric;
    v_more    bigint;
    v_dispute text;
    v_verdict text;
    v_waiting text[];  -- keys of events that stay parked with their payment
begin
    refunded := 0;
    for v_payment in
        select e.idempotency_key::text as key, e.order_id, e.verdict, e.settled_at,
               e.verdict in ('applied', 'reacquired') as has_paid,
               coalesce(e.amount, o.amount) as amount, coalesce(e.currency, o.currency) as currency
        from (select distinct u.key from unnest(p_payment_keys) as u (key)) asked
        cross join lateral (
            select * from payment_events e
            where e.idempotency_key = asked.key and e.product_id = p_product_id and e.status = 'success'
            offset 0) e
        left join lateral (
            select * from orders o where o.product_id = p_product_id and o.id = e.order_id offset 0) o on true
        order by e.received_at, e.idempotency_key
    loop
        v_waiting := '{}';
        select coalesce(max(e.amount) filter (where e.status = 'refunded_total'), 0),
               coalesce(sum(e.amount) filter (where e.status = 'refund'), 0)
        into v_total, v_sum
        from (select * from payment_events e where e.payment_key = v_payment.key offset 0) e
        where e.product_id = p_product_id and e.order_id = v_payment.order_id
          and e.verdict not in ('parked', 'amount_mismatch');

        for v_event in
            select e.idempotency_key::text as key, e.status, e.amount, e.currency
            from (select * from payment_events e where e.payment_key = v_payment.key offset 0) e
            where e.product_id = p_product_id and e.order_id = v_payment.order_id and e.verdict = 'parked'
            order by e.received_at, e.idempotency_key
        loop
            select o.amount, o.currency, o.refunded_amount, o.dispute into v_order
            from orders o
            where o.product_id = p_product_id and o.id = v_payment.order_id;

            if v_event.currency <> v_payment.currency then
                v_verdict := 'amount_mismatch';

            elsif v_event.status like 'dispute\_%' then
                v_dispute := replace(v_event.status, 'dispute_', '');
                if v_payment.verdict = 'parked' then
                    v_verdict := 'parked';
                -- A dispute that was closed is never opened again: the events may arrive in the other order.
                elsif v_payment.has_paid
                      and (v_order.dispute is null or (v_dispute <> 'open' and v_dispute <> v_order.dispute))
                then
                    update orders o
                    set dispute = v_dispute, version = o.version + c_is_disputed_wanted::integer
                    where o.product_id = p_product_id and o.id = v_payment.order_id;
                    if c_is_disputed_wanted then
                        perform add_order_events(p_product_id, array[v_payment.order_id], c_disputed);
                    end if;
                    v_verdict := 'applied';
                else
                    v_verdict := 'ignored';
                end if;

            else
                if v_event.status = 'refund' then
                    v_sum := v_sum + v_event.amount;
                else
                    v_total := greatest(v_total, v_event.amount);
                end if;
                v_back := greatest(v_total, v_sum);
                if v_payment.has_paid then
                    v_more := least(v_order.amount, v_back) - v_order.refunded_amount;
                    if v_more > 0 then
                        v_refund.product_id := p_product_id;
                        -- From the event's key, so it is the same when the transaction runs again. Like every id, it begins
                        -- with the product.
                        v_refund.id := (lpad(to_hex(p_product_id), 8, '0') || substr(md5(v_event.key), 9))::uuid;
                        v_refund.order_id := v_payment.order_id;
                        v_refund.amount := v_more;
                        v_refund.is_restock := false;
                        v_refund.source := 'provider';
                        v_refund.created_at := clock_timestamp();
                        perform record_refund(v_refund);
                        refunded := refunded + v_more;
                        refunded_currency := v_order.currency;
                        v_verdict := 'applied';
                    else
                        v_verdict := 'ignored';
                    end if;
                elsif v_payment.settled_at is null and v_back >= v_payment.amount then
                    v_payment.settled_at := clock_timestamp();
                    v_payment.verdict := case v_payment.verdict when 'parked' then 'refund_due' else v_payment.verdict end;
                    update payment_events e
                    set settled_at = v_payment.settled_at, verdict = v_payment.verdict
                    where e.idempotency_key = v_payment.key and e.product_id = p_product_id;
                    v_verdict := 'settled';
                elsif v_payment.verdict = 'parked' then
                    v_verdict := 'parked';
                else
                    v_verdict := 'ignored';
                end if;
            end if;

            if v_verdict = 'parked' then
                v_waiting := v_waiting || v_event.key;
            else
                update payment_events e
                set verdict = v_verdict,
                    order_status = (
                        select o.status from orders o where o.product_id = p_product_id and o.id = v_payment.order_id)
                where e.idempotency_key = v_event.key and e.product_id = p_product_id;
            end if;
        end loop;

        if v_payment.verdict <> 'parked' and v_waiting <> '{}' then
            -- A refund has settled the payment. These came before it, and it counts their money.
            update payment_events e
            set verdict = 'ignored'
            where e.idempotency_key = any (v_waiting) and e.product_id = p_product_id;
        end if;
    end loop;
end
$$;
