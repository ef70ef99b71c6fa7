-- Changes the total stock by p_delta. A cut takes only what is available: units in holds and orders are committed.
-- Returns whether it was done, no row for an unknown product.
create or replace function restock_product(p_product_id integer, p_delta integer)
returns table (is_done boolean)
language plpgsql
as $$
declare
    v_reclaimed integer := 0;
begin
    if p_delta < 0 then
        -- Lapsed holds count as available, so a cut may take their units.
        select units into v_reclaimed from expire_holds(p_product_id, -p_delta::bigint);
    end if;
    update products
    set available_stock = available_stock + v_reclaimed
    where id = p_product_id;
    if not found then
        return;
    end if;
    update products
    set total_stock     = total_stock + p_delta,
        available_stock = available_stock + p_delta
    where id = p_product_id and available_stock::bigint + p_delta >= 0;
    is_done := found;
    return next;
end
$$;
