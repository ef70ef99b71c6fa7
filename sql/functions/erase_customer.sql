-- A step of a customer's erasure: in a page of the customer's holds of one product, replaces the customer's id by the
-- pseudonym, and removes the metadata of these holds and of their orders. The idempotency keys and the events of these holds
-- and orders follow in the same transaction. Lock order: docs/architecture.md.
--
-- p_after, p_after_id and the result are positions, as in holds_of_customer. A step that runs twice finds nothing the second
-- time. No row when no erasure of this customer is under way.
--
-- Quantities, amounts and states stay, so every sum stays. The old units count for the pseudonym from now on, so the customer
-- starts from zero.
create or replace function erase_customer(
    p_product_id integer, p_customer_id text, p_after timestamptz, p_after_id uuid, p_limit integer)
returns table (next_after timestamptz, next_id uuid)
language plpgsql
security definer set search_path = pg_catalog, flashsale, pg_temp
set enable_seqscan = off
as $$
declare
    v_pseudonym text;
    v_ids     uuid[];
    v_order_ids uuid[];  -- locked
    v_id      uuid;
    v_orders  bigint := 0;
    v_holds   bigint := 0;
    v_keys    bigint := 0;
    v_events  bigint := 0;
    v_key     record;
    v_event_ids uuid[];
    v_count   bigint;
begin
    perform refuse_server_roles();
    if (p_limit between 1 and 10000) is not true then
        perform refuse_arguments();
    end if;
    select e.pseudonym into v_pseudonym from customer_erasures e where e.customer_id = p_customer_id;
    if not found then
        return;
    end if;

    -- A buyer may make a hold for this customer at this moment:
    --
    --     buyer: counts the customer's units, makes a hold
    --     this:  looks for the customer's holds, does not see the new one
    --     buyer: commits; the hold keeps the id
    --
    -- Both lock the customer first. So a hold that was begun before is committed before the look-up, and is replaced. A hold
    -- that is begun later waits, and is made after the erasure. A payment that counts the units of a late order locks the
    -- customer, too, under either name. It counts all of them under one name, or runs again: see apply_payment_events.
    perform pg_advisory_xact_lock(sorted.lock)
    from (
        select customer_lock(p_product_id, customer) as lock
        from unnest(array[p_customer_id, v_pseudonym]) customer
        order by 1) sorted;

    select page.hold_ids, page.next_after, page.next_id into v_ids, next_after, next_id
    from holds_of_customer(p_product_id, p_customer_id, p_after, p_after_id, p_limit) page;
    if v_ids = '{}' and next_after is not null then
        return next;
        return;
    end if;

    -- An order may be placed from one of the holds at this moment:
    --
    --     this:    locks the orders of the holds, and there is none for this hold
    --     placing: has the hold locked, places the order with the hold's metadata, commits
    --     this:    locks the hold; the order keeps the metadata
    --
    -- So the orders are counted again with the holds locked. The next attempt finds the new order.
    v_order_ids := array(
        select locked.id
        from (
            select o.id
            from unnest(v_ids) as erased (id)
            cross join lateral (
                select * from orders o where o.product_id = p_product_id and o.id = erased.id offset 0) o
            order by o.payment_due_at, o.id) sorted
        cross join lateral (
            select o.id from orders o where o.product_id = p_product_id and o.id = sorted.id for update) locked);
    perform lock_holds(p_product_id, v_ids);
    select count(*) into v_count
    from unnest(v_ids) as erased (id)
    cross join lateral (
        select from orders o where o.product_id = p_product_id and o.id = erased.id offset 0) o;
    if v_count <> cardinality(v_order_ids) then
        raise exception 'an order of the customer was placed' using errcode = 'serialization_failure';
    end if;

    -- The data of some events is still in their batch.
    perform dispatch_events(0, p_product_id, v_ids);

    -- One statement for each row: a plan for a list of ids may read all rows of the product.
    foreach v_id in array v_order_ids loop
        update orders o set metadata = null
        where o.product_id = p_product_id and o.id = v_id and o.metadata is not null;
        v_orders := v_orders + found::integer;
    end loop;
    foreach v_id in array v_ids loop
        update holds h set customer_id = v_pseudonym, metadata = null
        where h.product_id = p_product_id and h.id = v_id and h.customer_id = p_customer_id;
        v_holds := v_holds + found::integer;
    end loop;

    -- While some of the holds of a customer have the pseudonym, a request may use one key for both names. Then the pseudonym
    -- has the key already, and the older one is given up.
    for v_key in
        select k.key
        from unnest(v_ids) as erased (id)
        cross join lateral (
            select * from idempotency_keys k where k.product_id = p_product_id and k.hold_id = erased.id offset 0) k
        where k.customer_id = p_customer_id
    loop
        with old as (
            delete from idempotency_keys k
            where k.product_id = p_product_id and k.key = v_key.key and k.customer_id = p_customer_id
            returning *)
        insert into idempotency_keys (product_id, key, customer_id, operation, hold_id, created_at)
        select old.product_id, old.key, v_pseudonym, old.operation, old.hold_id, old.created_at from old
        on conflict do nothing;
        v_keys := v_keys + found::integer;
    end loop;

    -- An event's id is made from what the event is about, so no index on the object is needed. A transaction that adds an
    -- event has the row of its hold or order locked, so none is added meanwhile.
    v_event_ids := array(
        select event_id(p_product_id, type, erased.object_id, version)
        from (
            select 'hold_' || replace(found.id::text, '-', '') as object_id, 2 as versions
            from unnest(v_ids) as found (id)
            union all
            select 'order_' || replace(o.id::text, '-', ''), o.version
            from unnest(v_order_ids) as found (id)
            cross join lateral (
                select * from orders o where o.product_id = p_product_id and o.id = found.id offset 0) o) erased
        cross join unnest(event_types()) type
        cross join generate_series(1, erased.versions) version
        where split_part(type, '.', 1) = split_part(erased.object_id, '_', 1));
    foreach v_id in array v_event_ids loop
        update events e
        set data = e.data || jsonb_build_object('customer_id', v_pseudonym, 'metadata', '{}'::jsonb)
        where e.product_id = p_product_id and e.id = v_id and e.data ->> 'customer_id' = p_customer_id;
        v_events := v_events + found::integer;
    end loop;

    if next_after is null and next_id is null then
        -- The last page. Retention removes a hold that was given back before its events. Nothing leads to those, so all events
        -- of holds of the product are read. None is still in a batch: see remove_old.
        update events e
        set data = e.data || jsonb_build_object('customer_id', v_pseudonym, 'metadata', '{}'::jsonb)
        where e.product_id = p_product_id and e.type like 'hold.%' and e.data ->> 'customer_id' = p_customer_id;
        get diagnostics v_count = row_count;
        v_events := v_events + v_count;
    end if;

    update customer_erasures e
    set holds = e.holds + v_holds, orders = e.orders + v_orders, idempotency_keys = e.idempotency_keys + v_keys,
        events = e.events + v_events
    where e.customer_id = p_customer_id and e.pseudonym = v_pseudonym;
    if not found then
        -- Another command ended the erasure meanwhile, and what this step replaced would not be counted.
        raise exception 'the erasure was ended' using errcode = 'serialization_failure';
    end if;
    return next;
end
$$;
