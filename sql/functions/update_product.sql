-- Sets the columns of a product that p_columns names to the values of the other parameters. Returns whether it did: not
-- when the sale would end before it starts. No row for an unknown product.
create or replace function update_product(
    p_product_id integer, p_columns text[], p_name text, p_price integer,
    p_starts_at timestamptz, p_ends_at timestamptz, p_max_quantity_per_hold integer, p_max_per_customer integer,
    p_is_paused boolean)
returns table (is_done boolean)
language plpgsql
security definer set search_path = pg_catalog, flashsale, pg_temp
as $$
declare
    v_product products;
begin
    select * into v_product from products p where p.id = p_product_id for update;
    if not found then
        return;
    end if;
    if 'name' = any (p_columns) then v_product.name := p_name; end if;
    if 'price' = any (p_columns) then v_product.price := p_price; end if;
    if 'starts_at' = any (p_columns) then v_product.starts_at := p_starts_at; end if;
    if 'ends_at' = any (p_columns) then v_product.ends_at := p_ends_at; end if;
    if 'max_quantity_per_hold' = any (p_columns) then v_product.max_quantity_per_hold := p_max_quantity_per_hold; end if;
    if 'max_per_customer' = any (p_columns) then v_product.max_per_customer := p_max_per_customer; end if;
    if 'is_paused' = any (p_columns) then v_product.is_paused := p_is_paused; end if;
    is_done := coalesce(v_product.starts_at < v_product.ends_at, true);
    if is_done then
        update products p
        set name                  = v_product.name,
            price                 = v_product.price,
            starts_at             = v_product.starts_at,
            ends_at               = v_product.ends_at,
            max_quantity_per_hold = v_product.max_quantity_per_hold,
            max_per_customer      = v_product.max_per_customer,
            is_paused             = v_product.is_paused
        where p.id = p_product_id;
    end if;
    return next;
end
$$;
