-- Adds an event of this type for each of these payment events, as they are now. The caller has checked that the type is
-- wanted.
create or replace function add_payment_events_of(p_product_id integer, p_keys text[], p_type text)
returns void
language plpgsql
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
begin
    insert into event_batches (product_id, type, created_at, versions, object_names, data)
    select p_product_id, p_type, clock_timestamp(), array_agg(1), array_agg(asked.key),
           array_agg(payment_event_data(e.item))
    from unnest(p_keys) as asked (key)
    cross join lateral (
        select e as item
        from payment_events e
        where e.idempotency_key = asked.key and e.product_id = p_product_id
        offset 0) e
    having count(*) > 0;
end
$$;
