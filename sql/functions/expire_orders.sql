-- Expires up to p_limit unpaid orders of a product whose payment window has ended, the oldest first. Returns how many there
-- were and their units. The caller adds the units to available_stock in the same transaction.
--
-- A payment may arrive at the same moment. Both lock the order's row, and the second one finds that it is no longer
-- pending.
create or replace function expire_orders(p_product_id integer, p_limit bigint)
returns table (expired integer, units integer)
language plpgsql
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
declare
    v_now    timestamptz := clock_timestamp();
    v_tids   tid[];
    v_wanted integer;
begin
    select coalesce(array_agg(o.tid), '{}'), coalesce(sum(o.quantity), 0),
           (select p.wanted_events from products p where p.id = p_product_id)
    into v_tids, units, v_wanted
    from (
        select o.ctid as tid, o.quantity
        from orders o
        where o.product_id = p_product_id and o.status = 'pending_payment' and o.payment_due_at <= v_now
        order by o.payment_due_at, o.id
        limit p_limit
        for update) o;
    expired := set_status_of_orders(p_product_id, v_tids, 'expired', null, v_wanted);
    return next;
end
$$;
