-- Applies one payment event to its order, whose row the caller has locked, and says what it did.
--
-- Each change of an order depends on the status that it leaves, read under the lock, so stock is restored once however
-- often and in whatever order payments, failures and expiry come.
create or replace function settle_payment_event(
    p_product_id integer, p_order_id uuid, p_status text, p_amount bigint, p_currency text)
returns table (verdict text, order_status text)
language plpgsql
as $$
declare
    v_order orders;
begin
    select * into v_order from orders o where o.product_id = p_product_id and o.id = p_order_id;
    if not found then
        verdict := 'parked';
        return next;
        return;
    end if;
    order_status := v_order.status;

    if p_amount <> v_order.amount or p_currency <> v_order.currency then
        verdict := 'amount_mismatch';

    elsif p_status = 'failed' then
        if v_order.status = 'pending_payment' then
            update orders o set status = 'cancelled' where o.product_id = p_product_id and o.id = p_order_id;
            update ordered_stock s set units = s.units - v_order.quantity where s.product_id = p_product_id;
            update products p set available_stock = p.available_stock + v_order.quantity where p.id = p_product_id;
            verdict := 'applied';
            order_status := 'cancelled';
        else
            verdict := 'ignored';
        end if;

    elsif v_order.status = 'paid' then
        verdict := 'refund_due';  -- paid twice

    else
        if v_order.status = 'pending_payment' then
            verdict := 'applied';
        else
            -- Cancelled or expired: the units went back on sale. The order lives again only if they can be had again.
            -- The caller has locked ordered_stock, which comes before the product's row.
            update products p
            set available_stock = p.available_stock - v_order.quantity
            where p.id = p_product_id and p.available_stock >= v_order.quantity;
            verdict := case when found then 'reacquired' else 'refund_due' end;
            update ordered_stock s
            set units = s.units + v_order.quantity
            where s.product_id = p_product_id and verdict = 'reacquired';
        end if;
        if verdict <> 'refund_due' then
            update orders o
            set status = 'paid', paid_at = clock_timestamp()
            where o.product_id = p_product_id and o.id = p_order_id;
            order_status := 'paid';
        end if;
    end if;
    return next;
end
$$;
