-- The products with these ids, or all products when p_ids is null. Their stock is what can be held at this moment.
create or replace function read_products(p_ids integer[])
returns table (
    id integer, name text, price integer, currency text, total_stock integer, available_stock integer, status text,
    starts_at timestamptz, ends_at timestamptz, max_quantity_per_hold integer, max_per_customer integer)
language plpgsql
security definer set search_path = pg_catalog, flashsale, pg_temp
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
begin
    if p_ids is null then
        p_ids := array(select p.id from products p);
    end if;
    return query
    -- The clock is read in the statement whose snapshot it belongs to. A clock read before could be older than the
    -- snapshot, by the wait for a lock on a table. Holds that lapsed during the wait would then count as held. But the
    -- snapshot already shows later sales. The result would be a stock that was true at no moment.
    with clock as materialized (select clock_timestamp() as now)
    select p.id, p.name::text, p.price::integer, p.currency::text, p.total_stock, (p.available_stock + l.units)::integer,
           product_status(
               p.starts_at, p.ends_at, p.is_paused, clock.now, p.available_stock + l.units,
               (select h.next_release_at from held_stock(p.id, clock.now) h) is not null),
           p.starts_at, p.ends_at, p.max_quantity_per_hold::integer, p.max_per_customer::integer
    from clock
    cross join (select distinct a.id from unnest(p_ids) as a (id)) asked
    cross join lateral (select * from products p where p.id = asked.id offset 0) p
    cross join lateral lapsed_units(p.id, clock.now) as l (units)
    order by p.id;
end
$$;
