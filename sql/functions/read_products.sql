-- The products with these ids, or all of them when p_ids is null, with the stock that can be held at this moment.
create or replace function read_products(p_ids integer[])
returns table (
    id integer, name text, price integer, currency text, total_stock integer, available_stock integer, status text,
    starts_at timestamptz, ends_at timestamptz, max_quantity_per_hold integer, max_per_customer integer)
language plpgsql
security definer set search_path = pg_catalog, flashsale, pg_temp
as $$
declare
    v_now timestamptz := clock_timestamp();
begin
    return query
    select p.id, p.name, p.price, p.currency, p.total_stock, (p.available_stock + l.units)::integer,
           case
               when v_now < p.starts_at then 'upcoming'
               when v_now >= p.ends_at then 'ended'
               when p.available_stock + l.units > 0 then 'on_sale'
               when (select h.held from held_stock(p.id, v_now) h) > 0 then 'reserved_out'
               else 'sold_out'
           end,
           p.starts_at, p.ends_at, p.max_quantity_per_hold, p.max_per_customer
    from products p
    cross join lateral lapsed_units(p.id, v_now) as l (units)
    where p_ids is null or p.id = any (p_ids)
    order by p.id;
end
$$;
