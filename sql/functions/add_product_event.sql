-- Adds an event of this type with the product as it is now. The caller has checked that the type is wanted. It has the
-- product's row locked, and has raised its version.
create or replace function add_product_event(p_product_id integer, p_type text)
returns void
language plpgsql
set enable_seqscan = off
as $$
begin
    insert into event_batches (product_id, type, created_at, versions, object_names, data)
    select p.id, p_type, clock_timestamp(), array[p.version], array[p.id::text],
           array[jsonb_build_object(
               'id', now.id, 'name', now.name, 'price', now.price, 'currency', now.currency,
               'total_stock', now.total_stock, 'available_stock', now.available_stock, 'status', now.status,
               'starts_at', rfc3339(now.starts_at), 'ends_at', rfc3339(now.ends_at),
               'max_quantity_per_hold', now.max_quantity_per_hold, 'max_per_customer', now.max_per_customer,
               'version', p.version)]
    from products p
    cross join read_products(array[p_product_id]) now
    where p.id = p_product_id;
end
$$;
