-- Expires up to p_limit unpaid orders of a product whose payment window has run out, the oldest first. Returns how many
-- there were and their units, which the caller adds to available_stock in the same transaction.
--
-- A payment may arrive at the same moment: both lock the order's row, and the second one finds it no longer pending. As
-- in expire_holds, the update goes by the keys of what was locked.
create or replace function expire_orders(p_product_id integer, p_limit bigint)
returns table (expired integer, units integer)
language plpgsql
-- Plans are made while tables are small, and kept.
set enable_seqscan = off
as $$
declare
    v_now   timestamptz := clock_timestamp();
    v_order record;
begin
    expired := 0;
    units := 0;
    for v_order in
        select o.id, o.quantity
        from orders o
        where o.product_id = p_product_id and o.status = 'pending_payment' and o.payment_due_at <= v_now
        order by o.payment_due_at, o.id
        limit p_limit
        for update
    loop
        update orders o set status = 'expired' where o.product_id = p_product_id and o.id = v_order.id;
        expired := expired + 1;
        units := units + v_order.quantity;
    end loop;
    return next;
end
$$;
