-- The stock of a product at one moment, as_of. The column unlapsed is available_stock as the row has it. The column
-- available also counts the units of lapsed holds. Of held_stock come held and next_release_at. No row for an unknown
-- product.
--
-- The clock and the rows belong to one snapshot: see read_products. PostgreSQL puts this query in the place of its call, so
-- it stays one statement.
create or replace function stock_now(p_product_id integer)
returns table (
    as_of timestamptz, unlapsed integer, available bigint, held integer, next_release_at timestamptz)
language sql stable
as $$
    with clock as materialized (select clock_timestamp() as now)
    select clock.now, p.available_stock, p.available_stock + lapsed_units(p.id, clock.now), h.held, h.next_release_at
    from clock
    cross join products p
    cross join lateral held_stock(p.id, clock.now) h
    where p.id = p_product_id
$$;
