-- The products with these ids, or all of them when p_ids is null, with the stock that can be held at this moment.
create or replace function read_products(p_ids integer[])
returns table (
    id integer, name text, price integer, currency text, total_stock integer, available_stock integer)
language plpgsql
as $$
declare
    v_now timestamptz := clock_timestamp();
begin
    return query
    select p.id, p.name, p.price, p.currency, p.total_stock,
           (p.available_stock + lapsed_units(p.id, v_now))::integer
    from products p
    where p_ids is null or p.id = any (p_ids)
    order by p.id;
end
$$;
