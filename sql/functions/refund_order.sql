-- Records that an operator refunded p_amount of a paid order, in minor units of its currency; null for all that is left. With
-- p_is_restock the order's units return to the stock once no money is left. Lock order: docs/architecture.md.
--
-- The outcome is 'refunded'; 'replayed' with the refund that the same call recorded before; 'key_reused' for another call
-- under p_key; 'order_not_found'; 'order_not_paid' with the order's status; or 'refund_too_large' with the amount that is left.
--
-- The provider's event may have refunded the order first. So an order without money left can still be restocked: with p_amount
-- null and p_is_restock, a refund of 0 is recorded.
--
-- p_who and p_request_id go into the log: see record_admin_change.
create or replace function refund_order(
    p_product_id integer, p_order_id uuid, p_amount bigint, p_is_restock boolean, p_reason text, p_key text,
    p_refund_id uuid, p_who text default null, p_request_id text default null)
returns table (
    outcome text, order_status text, amount_left bigint,
    id uuid, order_id uuid, amount bigint, currency text, is_restock boolean, reason text, source text,
    created_at timestamptz)
language plpgsql
security definer set search_path = pg_catalog, flashsale, pg_temp
set enable_seqscan = off
as $$
declare
    v_refund refunds;
    v_before orders;
    v_after  orders;
    v_units  integer;
begin
    if (p_is_restock is not null and p_key is not null and p_refund_id is not null
        and coalesce(p_amount > 0, true)) is not true
    then
        perform refuse_arguments();
    end if;

    -- A second server with the same key waits here until the first has committed. A later statement reads the key, and finds it.
    -- Otherwise both could refund a part of the order.
    perform pg_advisory_xact_lock(admin_key_lock(p_product_id, p_key));
    select * into v_refund from refunds r where r.product_id = p_product_id and r.idempotency_key = p_key;
    if found then
        outcome := case
            when (v_refund.order_id, v_refund.is_restock) = (p_order_id, p_is_restock)
                 and v_refund.requested_amount is not distinct from p_amount
                 and v_refund.reason is not distinct from p_reason
            then 'replayed' else 'key_reused' end;
        if outcome = 'key_reused' then
            return next;
            return;
        end if;
        select * into v_before from orders o where o.product_id = p_product_id and o.id = p_order_id;
        perform confirm_durably();
    else
        -- Two operators, or an operator and an event of the provider, may refund the order at the same time:
        --
        --     one:   reads that all of the amount is left
        --     other: reads the same, refunds all of it, commits
        --     one:   refunds all of it again
        --
        -- So each reads what is left under the lock on the order.
        select * into v_before from orders o where o.product_id = p_product_id and o.id = p_order_id for update;
        amount_left := v_before.amount - v_before.refunded_amount;
        outcome := case
            when v_before.id is null then 'order_not_found'
            when v_before.status not in ('paid', 'refunded') then 'order_not_paid'
            when p_amount > amount_left then 'refund_too_large'
            when amount_left = 0 and (v_before.is_restocked or not p_is_restock) then 'refund_too_large'
            else 'refunded' end;
        if outcome <> 'refunded' then
            order_status := v_before.status;
            return next;
            return;
        end if;

        v_refund.product_id       := p_product_id;
        v_refund.id               := p_refund_id;
        v_refund.order_id         := p_order_id;
        v_refund.amount           := coalesce(p_amount, amount_left);
        v_refund.requested_amount := p_amount;
        v_refund.is_restock       := p_is_restock;
        v_refund.reason           := p_reason;
        v_refund.source           := 'operator';
        v_refund.created_at       := clock_timestamp();
        v_refund.idempotency_key  := p_key;
        v_units := record_refund(v_refund);

        select * into v_after from orders o where o.product_id = p_product_id and o.id = p_order_id;
        perform record_admin_change(
            p_who, p_request_id, 'order.refunded', p_product_id,
            jsonb_build_object(
                'order_id', 'order_' || replace(p_order_id::text, '-', ''), 'status', v_before.status,
                'refunded_amount', v_before.refunded_amount, 'restocked', v_before.is_restocked),
            jsonb_build_object(
                'order_id', 'order_' || replace(p_order_id::text, '-', ''), 'status', v_after.status,
                'refunded_amount', v_after.refunded_amount, 'restocked', v_after.is_restocked, 'reason', p_reason));
        if v_units > 0 then
            update ordered_stock s set units = s.units - v_units where s.product_id = p_product_id;
            update products p set available_stock = p.available_stock + v_units where p.id = p_product_id;
        end if;
    end if;

    order_status := coalesce(v_after.status, v_before.status);
    amount_left  := null;
    id           := v_refund.id;
    order_id     := v_refund.order_id;
    amount       := v_refund.amount;
    currency     := v_before.currency;
    is_restock   := v_refund.is_restock;
    reason       := v_refund.reason;
    source       := v_refund.source;
    created_at   := v_refund.created_at;
    return next;
end
$$;
