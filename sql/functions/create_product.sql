-- Adds a product, all of whose stock is available. With p_id it does nothing when there is any product already (the
-- demonstration product); without, the next free id is used.
create or replace function create_product(
    p_id integer, p_name text, p_price integer, p_currency text, p_stock integer)
returns table (id integer)
language plpgsql
as $$
begin
    if p_id is not null then
        lock table products in share row exclusive mode;  -- two servers that seed at once make one product
        if exists (select from products) then
            return;
        end if;
        perform setval(pg_get_serial_sequence('products', 'id'), p_id);
    end if;
    return query
    insert into products (id, name, price, currency, total_stock, available_stock)
    values (
        coalesce(p_id, nextval(pg_get_serial_sequence('products', 'id')))::integer,
        p_name, p_price, p_currency, p_stock, p_stock)
    returning products.id;
end
$$;
