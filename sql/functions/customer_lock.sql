-- The number of the advisory lock on a customer of a product. It guards the units that count for max_per_customer.
create or replace function customer_lock(p_product_id integer, p_customer text)
returns bigint
language sql immutable
as $$ select hashtextextended(p_product_id::text || ' ' || p_customer, 2) $$;
