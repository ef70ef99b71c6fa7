-- Changes the total stock by p_delta. A cut takes only what is available: units in holds and orders are committed.
-- Returns 'done', 'too_few' available or 'too_many' for a column of this type; no row for an unknown product. Then how
-- many are available and held, for whoever was refused.
create or replace function restock_product(p_product_id integer, p_delta integer)
returns table (
    outcome text,
    available_stock integer, held_stock integer, next_release_at timestamptz, next_release_in_us bigint)
language plpgsql
security definer set search_path = public, pg_temp
as $$
declare
    c_most      constant bigint := 2147483647;
    v_reclaimed integer := 0;
    v_product   products;
    v_now       timestamptz;
begin
    if p_delta < 0 then
        -- Lapsed holds count as available, so a cut may take their units.
        select e.units into v_reclaimed from expire_holds(p_product_id, -p_delta::bigint) e;
    end if;
    update products p
    set available_stock = p.available_stock + v_reclaimed
    where p.id = p_product_id
    returning * into v_product;
    if not found then
        return;
    end if;
    if v_product.available_stock::bigint + p_delta < 0 then
        outcome := 'too_few';
        available_stock := v_product.available_stock;
        v_now := clock_timestamp();
        select h.held, h.next_release_at into held_stock, next_release_at from held_stock(p_product_id, v_now) h;
        next_release_in_us := extract(epoch from next_release_at - v_now) * 1000000;
    elsif v_product.total_stock::bigint + p_delta > c_most then
        outcome := 'too_many';
    else
        update products p
        set total_stock     = p.total_stock + p_delta,
            available_stock = p.available_stock + p_delta
        where p.id = p_product_id;
        outcome := 'done';
    end if;
    return next;
end
$$;
