-- The stock of a product at one moment, as_of. unlapsed is available_stock as the row has it. available counts the units of lapsed
-- holds, too. held and next_release_at are those of held_stock. No row for an unknown product.
--
-- The statement that calls this reads the clock and the rows in one snapshot: see read_products. It stays one statement, since
-- PostgreSQL puts the query in the place of the call.
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
