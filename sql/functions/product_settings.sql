-- The settings of a product that create_product and update_product record, with the names that clients see.
create or replace function product_settings(p_product products)
returns jsonb
language sql stable
as $$
    select jsonb_build_object(
        'name', p_product.name, 'price', p_product.price, 'currency', p_product.currency,
        'starts_at', rfc3339(p_product.starts_at), 'ends_at', rfc3339(p_product.ends_at),
        'max_quantity_per_hold', p_product.max_quantity_per_hold, 'max_per_customer', p_product.max_per_customer)
$$;
