-- Makes the events of batches that transactions have added, and their deliveries, from the oldest batch on. Takes no further
-- batch when it has p_limit events. Returns how many batches there were.
--
-- Batches that another session has locked are passed over: it dispatches them.
--
-- With p_object_ids, ids of holds or orders of p_product_id, their batches are dispatched when it returns, whatever p_limit is.
-- Locked ones are waited for. Others stay, because a queue may have more events than a transaction can dispatch.
--
-- An endpoint gets the events that were written after its creation, or after the time since which it was recovered. One that
-- was disabled because it failed gets them once it is enabled.
create or replace function dispatch_events(
    p_limit integer, p_product_id integer default null, p_object_ids uuid[] default null)
returns integer
language plpgsql
security definer set search_path = pg_catalog, flashsale, pg_temp
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
declare
    c_most_batches constant integer := 100;
    v_now     constant timestamptz := clock_timestamp();
    v_batches bigint[];
begin
    -- Whoever deletes an endpoint waits for this transaction, and then removes the deliveries that it inserts.
    perform pg_advisory_xact_lock_shared(subscription_lock());
    if p_object_ids is null then
        v_batches := array(
            select b.id
            from event_batches b
            order by b.id
            limit greatest(0, least(p_limit, c_most_batches))
            for update skip locked);
        v_batches := array(
            select counted.id
            from (
                select b.id, sum(cardinality(b.versions)) over (order by b.id) - cardinality(b.versions) as before
                from unnest(v_batches) as batch (id)
                join event_batches b on b.id = batch.id) counted
            where counted.before < p_limit);
    else
        v_batches := array(
            select b.id
            from event_batches b
            where b.id = any (array(
                select waiting.id
                from event_batches waiting
                cross join lateral unnest(waiting.object_ids) as object (id)
                join unnest(p_object_ids) as asked (id) on asked.id = object.id
                where waiting.product_id = p_product_id))
            order by b.id
            for update);
    end if;
    if v_batches = '{}' then
        return 0;
    end if;

    with taken as (
        delete from event_batches b
        using unnest(v_batches) as batch (id)
        where b.id = batch.id
        returning b.*
    ), told as (
        select t.id as batch, each.n, t.product_id, t.type, t.created_at,
               'order_' || replace(each.id::text, '-', '') as object_id, each.version,
               coalesce(each.data, order_event_data(o.item, h.customer_id, t.type, each.version)) as data
        from taken t
        cross join lateral unnest(t.object_ids, t.versions, t.data) with ordinality as each (id, version, data, n)
        cross join lateral (
            select o as item from orders o where o.product_id = t.product_id and o.id = each.id offset 0) o
        left join lateral (
            select h.customer_id from holds h where h.product_id = t.product_id and h.id = each.id offset 0) h on true
        where t.type like 'order.%'
        union all
        select t.id, each.n, t.product_id, t.type, t.created_at,
               'hold_' || replace(each.id::text, '-', ''), each.version,
               hold_event_data(h.item, t.type, t.created_at, each.version)
        from taken t
        cross join lateral unnest(t.object_ids, t.versions) with ordinality as each (id, version, n)
        cross join lateral (
            select h as item from holds h where h.product_id = t.product_id and h.id = each.id offset 0) h
        where t.type like 'hold.%'
        union all
        select t.id, each.n, t.product_id, t.type, t.created_at, each.name, each.version, each.data
        from taken t
        cross join lateral unnest(t.object_names, t.versions, t.data) with ordinality as each (name, version, data, n)
        where t.object_names is not null
    ), added as (
        insert into events (product_id, id, type, object_id, version, created_at, data)
        select t.product_id, event_id(t.product_id, t.type, t.object_id, t.version), t.type, t.object_id, t.version,
               t.created_at, t.data
        from told t
        order by t.batch, t.n
        on conflict on constraint events_pkey do nothing
        returning product_id, id, type, created_at
    )
    -- The oldest event is due first.
    insert into deliveries (product_id, event_id, endpoint_id, next_at, created_at)
    select a.product_id, a.id, w.id, a.created_at, v_now
    from added a
    join webhook_endpoints w
        on w.wanted_events & event_bit(a.type) <> 0 and least(w.created_at, w.recovered_since) <= a.created_at
    where w.status = 'enabled' or w.disabled_reason = 'failing';
    return cardinality(v_batches);
end
$$;
