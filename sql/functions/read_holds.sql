-- Holds of one product as they stand at this moment. A lapsed hold reads as expired, released by a worker or not. Unknown
-- ids yield no row.
create or replace function read_holds(p_product_id integer, p_hold_ids uuid[])
returns table (id uuid, quantity integer, status text, expires_at timestamptz, remaining_us bigint, metadata text)
language plpgsql
security definer set search_path = pg_catalog, flashsale, pg_temp
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
begin
    return query
    with clock as materialized (select clock_timestamp() as now)  -- with the snapshot: see read_products
    select h.id, h.quantity::integer,
           case when h.status = 'active' and h.expires_at <= clock.now then 'expired' else h.status::text end,
           h.expires_at,
           greatest(0, extract(epoch from h.expires_at - clock.now) * 1000000)::bigint, h.metadata::text
    from clock
    cross join (select distinct a.id from unnest(p_hold_ids) as a (id)) asked
    cross join lateral (
        select * from holds h where h.product_id = p_product_id and h.id = asked.id offset 0) h;
end
$$;
