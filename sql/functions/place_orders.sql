-- Turns holds of one product into orders. An order has its hold's number, so the primary key of orders keeps a hold from
-- becoming two. Lock order: docs/architecture.md.
--
-- p_keys has the idempotency keys of the requests, null for requests without a key. It is null when no request has a
-- key. A key is known by the hold's customer, too. Keys and holds may come several times.
--
-- p_metadata has the metadata of the requests as JSON, null for requests without any. It is null when no request has any. An
-- order has the metadata of its hold, and that of its request on top.
--
-- p_batch_number tells this batch from all others, null when the caller will not ask again. An order keeps the number
-- of its request: the batch's number plus the request's place. So a second call with the same arguments, after a lost
-- answer, returns the result of the first call. Refusals are final. If the first call is still under way, it has the
-- holds locked, or will find them ordered.
--
-- Returns a row for each request, in their order. The outcome is placed, replayed, key_reused, hold_not_found,
-- already_ordered, hold_expired, hold_released or later. Later means that nothing was done because a request before it has
-- the same key. The other columns are the order, if it was placed now or before. Payment events that came before the order
-- are applied here.
create or replace function place_orders(
    p_product_id integer, p_hold_ids uuid[], p_keys text[], p_ttl_us bigint, p_batch_number bigint default null,
    p_metadata text[] default null)
returns table (
    outcome text, is_rescheduled boolean, hold_id uuid,
    quantity integer, amount bigint, currency text, status text,
    payment_due_at timestamptz, created_at timestamptz, paid_at timestamptz,
    refunded_amount bigint, dispute text, metadata text)
language plpgsql
security definer set search_path = pg_catalog, flashsale, pg_temp
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
declare
    v_wanted   uuid[] := p_hold_ids;  -- null where the key decides
    v_outcomes text[] := array_fill(null::text, array[coalesce(cardinality(p_hold_ids), 0)]);
    v_locked   record;
    v_at       integer;
    v_now      timestamptz;
    v_due      timestamptz;
    v_counted_at timestamptz;  -- with the row in ordered_stock locked
    v_placed            uuid[];
    v_placed_at         integer[];  -- the request's place
    v_placed_tids       tid[];
    v_placed_quantities integer[];
    v_placed_ends       timestamptz[];  -- when the holds lapse
    v_metadata jsonb[];  -- of the order of each request; null when no order has any
    v_units    bigint := 0;
    v_parked   record;
    v_decided  record;
    v_is_rescheduled boolean := false;
    v_wanted_events integer;
begin
    if (is_list(p_hold_ids, cardinality(p_hold_ids)) and array_position(p_hold_ids, null) is null
        and (p_keys is null or is_list(p_keys, cardinality(p_hold_ids)))
        and is_time_to_live(p_ttl_us) and coalesce(p_batch_number >= 0, true)
        and (p_metadata is null or is_metadata_list(p_metadata, cardinality(p_hold_ids)))) is not true
    then
        perform refuse_arguments();
    end if;
    if p_keys is not null then
        -- A second server with the same key waits here until the first has committed, then finds the key.
        perform pg_advisory_xact_lock(sorted.lock)
        from (
            select distinct key_lock(p_product_id, key) as lock
            from unnest(p_keys) key
            where key is not null
            order by 1) sorted;
        -- A hold's customer changes only when the customer is erased, and its keys change in the same transaction. When
        -- several holds could become orders under one key, the first gets it. The next batch decides the others. A lapsed
        -- hold does not take the key.
        v_outcomes := array(
            select case
                when asked.key is null then null
                when k.operation = 'place_order' and k.hold_id = asked.hold_id and (
                    select o.metadata is not distinct from merged_metadata(h.metadata, p_metadata[asked.n]::jsonb)
                    from orders o
                    where o.product_id = p_product_id and o.id = asked.hold_id
                    offset 0) then 'replayed'
                when k.key is not null then 'key_reused'
                when h.is_active and row_number() over (
                    partition by asked.key, h.customer_id, h.is_active order by asked.n) > 1 then 'later'
            end
            from unnest(p_keys, p_hold_ids) with ordinality as asked (key, hold_id, n)
            left join lateral (
                select coalesce(h.customer_id, '') as customer_id, h.metadata,
                       h.status = 'active' and h.expires_at > clock_timestamp() as is_active
                from holds h
                where h.product_id = p_product_id and h.id = asked.hold_id
                offset 0) h on true
            left join lateral (
                select * from idempotency_keys k
                where k.product_id = p_product_id and k.key = asked.key and k.customer_id = coalesce(h.customer_id, '')
                offset 0) k on true
            order by asked.n);
        if 'replayed' = any (v_outcomes) then
            perform confirm_durably();
        end if;
        v_wanted := array(
            select case when asked.known is null then asked.hold_id end
            from unnest(p_hold_ids, v_outcomes) with ordinality as asked (hold_id, known, n)
            order by asked.n);
    end if;

    v_locked := lock_holds(p_product_id, v_wanted);
    v_now := clock_timestamp();  -- after the wait for the lock: a lapsed hold must not become an order

    for i in 1 .. coalesce(cardinality(v_locked.ids), 0) loop
        v_at := v_locked.places[i];
        if v_locked.statuses[i] <> 'active' then
            v_outcomes[v_at] := case v_locked.statuses[i]
                when 'ordered' then 'already_ordered' else 'hold_' || v_locked.statuses[i] end;
        elsif v_locked.expiries[i] <= v_now then
            v_outcomes[v_at] := 'hold_expired';
        elsif v_locked.ids[i] = v_locked.ids[i - 1] then
            v_outcomes[v_at] := 'already_ordered';  -- by the request before, for the same hold
        else
            v_outcomes[v_at] := 'placed';
            v_placed := v_placed || v_locked.ids[i];
            v_placed_at := v_placed_at || v_at;
            v_placed_tids := v_placed_tids || v_locked.tids[i];
            v_placed_quantities := v_placed_quantities || v_locked.quantities[i];
            v_placed_ends := v_placed_ends || v_locked.expiries[i];
            v_units := v_units + v_locked.quantities[i];
        end if;
    end loop;

    if v_placed is not null then
        v_due := time_after(v_now, p_ttl_us);
        if p_metadata is not null or v_locked.metadata is not null then
            v_metadata := array(
                select merged_metadata(v_locked.metadata -> asked.n::text, asked.metadata::jsonb)
                from unnest(p_hold_ids, p_metadata) with ordinality as asked (id, metadata, n)
                order by asked.n);
        end if;
        -- One statement reads which events are wanted and raises the version by it. The set of wanted events may change
        -- before the next one.
        with product as materialized (
            select p.id, p.price, p.currency, p.wanted_events from products p where p.id = p_product_id
        ), placed as (
            insert into orders (
                product_id, id, quantity, amount, currency, payment_due_at, created_at, request_number, metadata, version)
            select p.id, placed.id, placed.quantity, placed.quantity::bigint * p.price, p.currency, v_due, v_now,
                   p_batch_number + placed.n, v_metadata[placed.n],
                   case when p.wanted_events & event_bit('order.placed') <> 0 then 1 else 0 end
            from unnest(v_placed, v_placed_quantities, v_placed_at) as placed (id, quantity, n)
            cross join product p
        )
        select p.wanted_events into v_wanted_events from product p;

        perform set_status_of_holds(p_product_id, v_placed_tids, 'ordered');

        if p_keys is not null then
            insert into idempotency_keys (product_id, key, customer_id, operation, hold_id, created_at)
            select p_product_id, asked.key, coalesce(h.customer_id, ''), 'place_order', asked.hold_id, v_now
            from unnest(p_hold_ids, p_keys, v_outcomes) as asked (hold_id, key, outcome)
            cross join lateral (
                select * from holds h where h.product_id = p_product_id and h.id = asked.hold_id offset 0) h
            where asked.outcome = 'placed' and asked.key is not null;
        end if;

        v_is_rescheduled := schedule_job('expire_orders', p_product_id, v_due);
        update ordered_stock s set units = s.units + v_units where s.product_id = p_product_id
        returning clock_timestamp() into v_counted_at;
        if v_counted_at > least(v_now + clock_tolerance(p_ttl_us), v_due) then
            -- The wait for this row or a lock before it was long. The orders begin now, at the current price. So
            -- no order is later than a price change and has the old price. No other session has seen the
            -- orders yet.
            v_now := v_counted_at;
            v_due := time_after(v_now, p_ttl_us);
            for i in 1 .. cardinality(v_placed) loop
                -- The hold lapsed during the wait. It was ordered in time, and its order begins then.
                continue when v_placed_ends[i] <= v_counted_at;
                update orders o
                set payment_due_at = v_due, created_at = v_now, amount = o.quantity::bigint * p.price, currency = p.currency
                from products p
                where o.product_id = p_product_id and o.id = v_placed[i] and p.id = p_product_id;
            end loop;
        end if;

        if v_wanted_events & event_bit('order.placed') <> 0 then
            perform add_event_batch(
                p_product_id, 'order.placed', v_placed, array_fill(1, array[cardinality(v_placed)]));
        end if;

        -- A transaction that parks an event locks the hold's row: see decide_payment_events. This transaction has that lock
        -- now. So every event that found no order is committed, and this statement sees it. The lock keeps retention from
        -- removing an event that is being applied.
        select array_agg(e.idempotency_key) as keys, array_agg(e.order_id) as order_ids, array_agg(e.status::text) as statuses,
               array_agg(e.amount) as amounts, array_agg(e.currency) as currencies
        into v_parked
        from (
            select e.*
            from unnest(v_placed) as placed (id)
            cross join lateral (
                select * from payment_events e
                where e.product_id = p_product_id and e.order_id = placed.id and e.verdict = 'parked'
                for update) e
            order by e.received_at, e.idempotency_key) e;
        if v_parked.keys is not null then
            v_decided := decide_payment_events(
                p_product_id, v_parked.order_ids, v_parked.statuses, v_parked.amounts, v_parked.currencies,
                p_wanted => v_wanted_events);
            for i in 1 .. cardinality(v_parked.keys) loop
                update payment_events e
                set verdict = v_decided.verdicts[i], order_status = v_decided.order_statuses[i]
                where e.idempotency_key = v_parked.keys[i] and e.product_id = p_product_id;
            end loop;
            perform add_verdict_events(p_product_id, v_parked.keys, v_decided.verdicts, v_wanted_events);
            if not v_parked.statuses <@ '{success,failed}' then
                perform decide_refunds(p_product_id, v_parked.keys);
            end if;
        end if;
    end if;

    return query
    select case when o.request_number = p_batch_number + asked.n then 'placed' else coalesce(asked.outcome, 'hold_not_found') end,
           v_is_rescheduled, asked.hold_id,
           o.quantity::integer, o.amount::bigint, o.currency, o.status::text, o.payment_due_at, o.created_at, o.paid_at,
           o.refunded_amount::bigint, o.dispute::text, o.metadata::text
    from unnest(p_hold_ids, v_outcomes) with ordinality as asked (hold_id, outcome, n)
    left join lateral (
        select * from orders o where o.product_id = p_product_id and o.id = asked.hold_id offset 0) o on true
    order by asked.n;
end
$$;
