-- Orders of one product. Ids that do not exist yield no row.
create or replace function read_orders(p_product_id integer, p_order_ids uuid[])
returns table (
    id uuid, quantity integer, amount bigint, currency text, status text,
    payment_due_at timestamptz, created_at timestamptz, paid_at timestamptz)
language sql
security definer set search_path = public, pg_temp
as $$
    select id, quantity, amount, currency, status, payment_due_at, created_at, paid_at
    from orders
    where product_id = p_product_id and id = any (p_order_ids)
$$;
