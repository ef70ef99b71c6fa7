-- Adds a refund to its order, which the caller has locked. The order is paid, and the amount is at most what is left. Returns the
-- order's units if the refund returns them to the stock, else 0. The caller adds them to the stock.
--
-- Units return once, with the first refund that should return them and after which no money is left.
create or replace function record_refund(p_refund refunds)
returns integer
language plpgsql
set enable_seqscan = off
as $$
declare
    c_type      constant text := 'order.refunded';
    v_is_wanted constant boolean := wanted_events(p_refund.product_id) & event_bit(c_type) <> 0;
    v_units     integer;
begin
    insert into refunds select p_refund.*;
    select case when p_refund.is_restock and not o.is_restocked and o.refunded_amount + p_refund.amount = o.amount
           then o.quantity else 0 end
    into v_units
    from orders o
    where o.product_id = p_refund.product_id and o.id = p_refund.order_id;
    update orders o
    set refunded_amount = o.refunded_amount + p_refund.amount,
        status          = case when o.refunded_amount + p_refund.amount = o.amount then 'refunded' else o.status end,
        is_restocked    = o.is_restocked or v_units > 0,
        version         = o.version + v_is_wanted::integer
    where o.product_id = p_refund.product_id and o.id = p_refund.order_id
      and o.status in ('paid', 'refunded') and o.refunded_amount + p_refund.amount <= o.amount;
    if not found then
        raise exception 'order % has not so much money left', p_refund.order_id using errcode = 'internal_error';
    end if;
    if v_is_wanted then
        perform add_order_events(p_refund.product_id, array[p_refund.order_id], c_type);
    end if;
    return v_units;
end
$$;
