-- How many units of a product each customer may still take at p_at. p_limit is the most that one may have in active holds
-- and live orders. In units_left a number is negative when the customer has more since the limit was lowered. It is null
-- without a limit.
--
-- An order may be under way from a customer's lapsed hold: it was placed in time and is not committed yet. Another
-- session has the hold locked then. The units of such holds are in unsure, null when there are none. They are not
-- subtracted from units_left. With p_is_awaited the caller has called await_orders_of_customers, and unsure is null.
--
-- The locks are undone: see await_orders_of_customers. They tell enough. A session that has not locked a hold by now finds
-- later that its time is over.
create or replace function customers_left(
    p_product_id integer, p_customers text[], p_limit integer, p_at timestamptz, p_is_awaited boolean,
    out units_left integer[], out unsure integer[])
language plpgsql
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
declare
    v_lapsed uuid[] := '{}';
    v_free   uuid[] := '{}';
begin
    if not p_is_awaited then
        v_lapsed := array(select h.id from lapsed_holds_of_customers(p_product_id, p_customers, p_at) h);
    end if;
    if v_lapsed <> '{}' then
        begin
            -- The status is read under the lock: the hold may have become an order before.
            v_free := array(
                select locked.id
                from unnest(v_lapsed) as lapsed (id)
                cross join lateral (
                    select h.id, h.status from holds h
                    where h.product_id = p_product_id and h.id = lapsed.id
                    for update skip locked) locked
                where locked.status = 'active');
            raise exception using errcode = 'FS001', message = 'undone';
        exception
            when sqlstate 'FS001' then null;
        end;
    end if;
    -- A later statement sees the commits of sessions that released their locks meanwhile.
    select array_agg(p_limit - own.taken order by c.n),
           case when sum(own.lapsed) > 0 and not p_is_awaited then array_agg(own.lapsed order by c.n) end
    into units_left, unsure
    from unnest(p_customers) with ordinality as c (customer_id, n)
    cross join lateral (
        select coalesce(sum(h.quantity) filter (where h.status = 'ordered' or h.expires_at > p_at), 0)::integer as taken,
               coalesce(sum(h.quantity) filter (where h.status = 'active' and h.expires_at <= p_at), 0)::integer as lapsed
        from (
            select * from holds h
            where h.product_id = p_product_id and h.customer_id = c.customer_id and h.status in ('active', 'ordered')
            offset 0) h
        where h.id <> all (v_free)
          and (h.status = 'active' or exists (
              select from orders o
              where o.product_id = p_product_id and o.id = h.id
                and o.status in ('pending_payment', 'paid', 'refunded') and not o.is_restocked
              offset 0))) own;
end
$$;
