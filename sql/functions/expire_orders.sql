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
    v_now timestamptz := clock_timestamp();
begin
    return query
    with overdue as (
        select id
        from orders
        where product_id = p_product_id and status = 'pending_payment' and payment_due_at <= v_now
        order by payment_due_at, id
        limit p_limit
        for update
    ), done as (
        update orders o
        set status = 'expired'
        from overdue
        where o.product_id = p_product_id and o.id = overdue.id
        returning o.quantity
    )
    select count(*)::integer, coalesce(sum(done.quantity), 0)::integer from done;
end
$$;
