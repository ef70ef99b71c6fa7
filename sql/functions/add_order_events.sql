-- Adds an event of this type for each of these orders, with the order as it is now. The caller has checked that the type is
-- wanted. It has raised the orders' version in the statement that made the change.
create or replace function add_order_events(p_product_id integer, p_order_ids uuid[], p_type text)
returns void
language plpgsql
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
begin
    insert into event_batches (product_id, type, created_at, versions, object_ids, data)
    select p_product_id, p_type, clock_timestamp(), array_agg(o.version), array_agg(o.id),
           array_agg(order_event_data(o.item, h.customer_id, p_type, o.version))
    from unnest(p_order_ids) as asked (id)
    cross join lateral (
        select o as item, o.id, o.version from orders o where o.product_id = p_product_id and o.id = asked.id offset 0) o
    left join lateral (
        select h.customer_id from holds h where h.product_id = p_product_id and h.id = asked.id offset 0) h on true
    having count(*) > 0;
end
$$;
