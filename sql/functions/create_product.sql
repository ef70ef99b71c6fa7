-- Adds a product, all of whose stock is available. With p_id it does nothing when there is any product already (the
-- demonstration product); without, the next free id is used.
create or replace function create_product(
    p_id integer, p_name text, p_price integer, p_currency text, p_stock integer,
    p_starts_at timestamptz, p_ends_at timestamptz, p_max_quantity_per_hold integer, p_max_per_customer integer)
returns table (id integer)
language plpgsql
security definer set search_path = pg_catalog, flashsale, pg_temp
as $$
declare
    v_id integer;
begin
    if p_id is not null then
        lock table products in share row exclusive mode;  -- two servers that seed at once make one product
        if exists (select from products) then
            return;
        end if;
        perform setval(pg_get_serial_sequence('products', 'id'), p_id);
    end if;
    v_id := coalesce(p_id, nextval(pg_get_serial_sequence('products', 'id')));
    insert into products (
        id, name, price, currency, total_stock, available_stock,
        starts_at, ends_at, max_quantity_per_hold, max_per_customer)
    values (
        v_id, p_name, p_price, p_currency, p_stock, p_stock,
        p_starts_at, p_ends_at, p_max_quantity_per_hold, p_max_per_customer);
    insert into ordered_stock (product_id, units) values (v_id, 0);
    -- There is one when payment events came for the product before.
    insert into scheduled_jobs (product_id, kind, run_at)
    values (v_id, 'remove_old', clock_timestamp() + interval '10 seconds')
    on conflict on constraint scheduled_jobs_pkey do nothing;
    id := v_id;
    return next;
end
$$;
