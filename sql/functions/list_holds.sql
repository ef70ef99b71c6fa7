-- A page of holds, newest first: by the second in which they were made. p_product_id, p_status and p_customer_id narrow the list
-- unless they are null. Holds that were made before the Unix second p_first_second are left out. The page begins after the hold
-- p_before. The first page has null.
--
-- A lapsed hold is expired. As list_orders, a call reads a bounded number of rows, and may end the page with an id only.
create or replace function list_holds(
    p_product_id integer, p_status text, p_customer_id text, p_first_second bigint, p_before uuid, p_limit integer)
returns table (
    id uuid, quantity integer, status text, expires_at timestamptz, remaining_us bigint, metadata text, customer_id text)
language plpgsql stable
security definer set search_path = pg_catalog, flashsale, pg_temp
set enable_seqscan = off set enable_bitmapscan = off set max_parallel_workers_per_gather = 0
set plan_cache_mode = force_generic_plan
as $$
declare
    c_few      constant integer := 5000;    -- candidates of all products
    c_examined constant integer := 100000;  -- rows of all products, and at most a tenth of them of one product
    v_now      timestamptz := clock_timestamp();
    v_products integer[];  -- whose newest holds are read
    v_ids      uuid[] := '{}';
    v_next     uuid;
    v_count    integer;
begin
    if (p_limit between 1 and 1001 and p_first_second between 0 and 4294967295) is not true then
        perform refuse_arguments();
    end if;
    v_products := array(select p.id from products p where p_product_id is null or p.id = p_product_id);
    v_count := greatest(1, cardinality(v_products));

    if p_customer_id is not null or p_status <> 'ordered' then
        v_ids := array(
            select candidate.id
            from unnest(v_products) as p (id)
            cross join lateral candidate_holds(p.id, p_status, p_customer_id) candidate
            limit c_few + 1);
        if cardinality(v_ids) <= c_few then
            v_products := '{}';
        else
            with narrowed as materialized (
                select p.id as product_id, array(
                    select candidate.id from candidate_holds(p.id, p_status, p_customer_id) candidate
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
            cross join lateral newest_holds(
                l.product_id, p_status, p_customer_id, v_now, l.first, l.before, l.examined, 1) head
        ),
        -- If p_limit products have a hold that is at least as new as this one, the page has no older hold.
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
            cross join lateral newest_holds(
                s.product_id, p_status, p_customer_id, v_now, s.first, s.before, s.examined, p_limit) newest
        ),
        -- The newest of the last holds that were read of products with more holds. The page ends there at the latest: an older
        -- hold may belong after one that was not read.
        last_read as materialized (
            select last.id
            from spans s
            left join (select f.product_id, count(*) as count from found f group by f.product_id) f
                on f.product_id = s.product_id
            cross join lateral (
                select h.id from holds h
                where h.product_id = s.product_id and h.id >= s.first and h.id < s.before
                order by h.id desc
                offset s.examined - 1 limit 1) last
            where coalesce(f.count, 0) < p_limit
            order by age_of_id(last.id) desc
            limit 1
        )
        select v_ids || array(select f.id from found f), (select last_read.id from last_read) into v_ids, v_next;
    end if;

    return query
    select h.id, h.quantity::integer, hold_status(h.status, h.expires_at, v_now), h.expires_at,
           greatest(0, extract(epoch from h.expires_at - v_now) * 1000000)::bigint, h.metadata::text, h.customer_id::text
    from unnest(v_ids) as candidate (id)
    cross join lateral (
        select * from holds h where h.product_id = product_of_id(candidate.id) and h.id = candidate.id offset 0) h
    where h.id >= first_hold_id(h.product_id, p_first_second)
      and (p_before is null or h.id < id_of_product(h.product_id, p_before))
      and (v_next is null or age_of_id(h.id) >= age_of_id(v_next))
      and (p_status is null or hold_status(h.status, h.expires_at, v_now) = p_status)
    order by age_of_id(h.id) desc
    limit p_limit;

    get diagnostics v_count = row_count;
    if v_next is not null and v_count < p_limit then
        id := v_next;
        return next;
    end if;
end
$$;
