-- A page of orders, newest first: by the second in which their holds were made. p_product_id, p_status, p_customer_id and
-- p_created_after narrow the list unless they are null. The page begins after the order p_before. The first page has null.
--
-- p_first_second is a Unix second. Orders of holds that were made before it are left out. The caller knows that none of them was
-- created after p_created_after. 0 leaves out nothing.
--
-- A call reads a bounded number of rows, whatever the tables have. So a page may have less than p_limit orders, although older
-- orders meet the conditions. Then a last row has an id only. The next page begins after that id.
--
-- - candidate_orders finds the orders of a customer, and the unpaid ones, through an index. If there are few, they are sorted.
--   Otherwise so are those of the products with few.
-- - Of all other products the newest orders are read, through the primary key. A condition that so many orders meet is mostly met
--   soon. No index has the paid orders, because each payment would have to write it.
create or replace function list_orders(
    p_product_id integer, p_status text, p_customer_id text, p_created_after timestamptz, p_first_second bigint,
    p_before uuid, p_limit integer)
returns table (
    id uuid, quantity integer, amount bigint, currency text, status text, payment_due_at timestamptz, created_at timestamptz,
    paid_at timestamptz, refunded_amount bigint, dispute text, metadata text, customer_id text)
language plpgsql stable
security definer set search_path = pg_catalog, flashsale, pg_temp
set enable_seqscan = off set enable_bitmapscan = off set max_parallel_workers_per_gather = 0
set plan_cache_mode = force_generic_plan
as $$
declare
    c_few      constant integer := 5000;    -- candidates of all products
    c_examined constant integer := 100000;  -- rows of all products, and at most a tenth of them of one product
    v_products integer[];  -- whose newest orders are read
    v_ids      uuid[] := '{}';
    v_next     uuid;
    v_count    integer;
begin
    if (p_limit between 1 and 1001 and p_first_second between 0 and 4294967295) is not true then
        perform refuse_arguments();
    end if;
    v_products := array(select p.id from products p where p_product_id is null or p.id = p_product_id);
    v_count := greatest(1, cardinality(v_products));

    if p_customer_id is not null or p_status = 'pending_payment' then
        v_ids := array(
            select candidate.id
            from unnest(v_products) as p (id)
            cross join lateral candidate_orders(p.id, p_status, p_customer_id) candidate
            limit c_few + 1);
        if cardinality(v_ids) <= c_few then
            v_products := '{}';
        else
            with narrowed as materialized (
                select p.id as product_id, array(
                    select candidate.id from candidate_orders(p.id, p_status, p_customer_id) candidate
                    limit c_few / v_count + 1) as ids
                from unnest(v_products) as p (id)
            )
            select array(select unnest(n.ids) from narrowed n where cardinality(n.ids) <= c_few / v_count),
                   array(select n.product_id from narrowed n where cardinality(n.ids) > c_few / v_count)
            into v_ids, v_products;
        end if;
    end if;

    if v_products <> '{}' then
        with listed as materialized (
            select p.id as product_id, first_hold_id(p.id, p_first_second) as first,
                   coalesce(id_of_product(p.id, p_before), 'ffffffff-ffff-ffff-ffff-ffffffffffff') as before,
                   greatest(p_limit, least(c_examined / 10, c_examined / cardinality(v_products))) as examined
            from unnest(v_products) as p (id)
        ),
        heads as materialized (
            select l.product_id, head.id
            from listed l
            cross join lateral newest_orders(
                l.product_id, p_status, p_customer_id, p_created_after, l.first, l.before, l.examined, 1) head
        ),
        -- If p_limit products have an order that is at least as new as this one, the page has no older order.
        oldest as materialized (
            select heads.id from heads order by age_of_id(heads.id) desc offset p_limit - 1 limit 1
        ),
        spans as materialized (
            select l.product_id, greatest(l.first, id_of_product(l.product_id, oldest.id)) as first, l.before, l.examined
            from listed l
            left join oldest on true
        ),
        found as materialized (
            select s.product_id, newest.id
            from heads
            join spans s on s.product_id = heads.product_id
            cross join lateral newest_orders(
                s.product_id, p_status, p_customer_id, p_created_after, s.first, s.before, s.examined, p_limit) newest
        ),
        -- The newest of the last orders that were read of products with more orders. The page ends there at the latest: an older
        -- order may belong after one that was not read.
        last_read as materialized (
            select last.id
            from spans s
            left join (select f.product_id, count(*) as count from found f group by f.product_id) f
                on f.product_id = s.product_id
            cross join lateral (
                (select o.id from orders o
                 where coalesce(p_status, '') not in ('cancelled', 'expired', 'refunded')
                   and o.product_id = s.product_id and o.id >= s.first and o.id < s.before
                 order by o.id desc
                 offset s.examined - 1 limit 1)
                union all
                (select o.id from orders o
                 where p_status in ('cancelled', 'expired', 'refunded')
                   and o.status in ('cancelled', 'expired', 'refunded') and o.status = p_status
                   and o.product_id = s.product_id and o.id >= s.first and o.id < s.before
                 order by o.id desc
                 offset s.examined - 1 limit 1)) last
            where coalesce(f.count, 0) < p_limit
            order by age_of_id(last.id) desc
            limit 1
        )
        select v_ids || array(select f.id from found f), (select last_read.id from last_read) into v_ids, v_next;
    end if;

    return query
    select page.id, page.quantity::integer, page.amount::bigint, page.currency, page.status::text, page.payment_due_at,
           page.created_at, page.paid_at, page.refunded_amount, page.dispute, page.metadata::text, h.customer_id::text
    from (
        select o.*
        from unnest(v_ids) as candidate (id)
        cross join lateral (
            select * from orders o where o.product_id = product_of_id(candidate.id) and o.id = candidate.id offset 0) o
        where (p_before is null or o.id < id_of_product(o.product_id, p_before))
          and (v_next is null or age_of_id(o.id) >= age_of_id(v_next))
          and (p_status is null or o.status = p_status)
          and (p_created_after is null or o.created_at > p_created_after)
        order by age_of_id(o.id) desc
        limit p_limit) page
    left join lateral (
        select * from holds h where h.product_id = page.product_id and h.id = page.id offset 0) h on true
    order by age_of_id(page.id) desc;

    get diagnostics v_count = row_count;
    if v_next is not null and v_count < p_limit then
        id := v_next;
        return next;
    end if;
end
$$;
