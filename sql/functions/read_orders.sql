-- Orders of one product. Unknown ids yield no row.
create or replace function read_orders(p_product_id integer, p_order_ids uuid[])
returns table (
    id uuid, quantity integer, amount bigint, currency text, status text,
    payment_due_at timestamptz, created_at timestamptz, paid_at timestamptz,
    refunded_amount bigint, dispute text, metadata text)
language plpgsql
security definer set search_path = pg_catalog, flashsale, pg_temp
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
begin
    return query
    select o.id, o.quantity::integer, o.amount::bigint, o.currency, o.status::text, o.payment_due_at, o.created_at, o.paid_at,
           o.refunded_amount::bigint, o.dispute::text, o.metadata::text
    from (select distinct a.id from unnest(p_order_ids) as a (id)) asked
    cross join lateral (
        select * from orders o where o.product_id = p_product_id and o.id = asked.id offset 0) o;
end
$$;
