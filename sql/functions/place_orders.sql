-- Turns holds of one product into orders, each hold at most once: an order has its hold's number, so the primary key of
-- orders is what says "once".
--
-- p_keys has the idempotency keys of the requests, null for those without; it is null when no request has one. A key
-- comes at most once, a hold may come several times.
--
-- Returns a row for each request, in their order: placed, replayed (under the same key before), key_reused, not_found,
-- already_ordered, expired or released; then the order, if it was placed now or before. Payment events that came before
-- the order are applied here, in the transaction that places it.
create or replace function place_orders(p_product_id integer, p_hold_ids uuid[], p_keys text[], p_ttl_us bigint)
returns table (
    outcome text, is_rescheduled boolean, hold_id uuid,
    quantity integer, amount bigint, currency text, status text,
    payment_due_at timestamptz, created_at timestamptz, paid_at timestamptz)
language plpgsql
security definer set search_path = public, pg_temp
-- Plans are made while tables are small, and kept. Without this setting, and the fences below (offset 0) behind which a row
-- is found by its whole key, the planner would rather read all rows of a product, which it takes for few.
set enable_seqscan = off
as $$
declare
    v_now    timestamptz;
    v_due    timestamptz;
    v_known  text[];  -- for each request what its key says
    v_wanted uuid[] := p_hold_ids;
    v_placed uuid[];
    v_id     uuid;
    v_units  integer;
    v_event  payment_events;
    v_is_rescheduled boolean := false;
begin
    if p_keys is not null then
        -- As in reserve_holds: the same key on another server waits here, then finds it.
        perform pg_advisory_xact_lock(hash)
        from (
            select distinct hashtextextended(p_product_id || ' ' || key, 1) as hash
            from unnest(p_keys) key
            where key is not null
            order by 1) sorted;
        v_known := array(
            select case
                when k.key is null then null
                when k.operation = 'place_order' and k.reservation_id = asked.hold_id then 'replayed'
                else 'key_reused'
            end
            from unnest(p_keys, p_hold_ids) with ordinality as asked (key, hold_id, n)
            left join lateral (
                select * from idempotency_keys k where k.product_id = p_product_id and k.key = asked.key offset 0) k on true
            order by asked.n);
        v_wanted := array(
            select asked.hold_id from unnest(p_hold_ids, v_known) as asked (hold_id, known) where asked.known is null);
    end if;

    perform from (
        select h.id
        from unnest(v_wanted) as asked (id)
        cross join lateral (
            select * from holds h where h.product_id = p_product_id and h.id = asked.id offset 0) h
        order by h.expires_at, h.id) sorted
    cross join lateral (
        select from holds h where h.product_id = p_product_id and h.id = sorted.id for update) locked;
    v_now := clock_timestamp();  -- after the wait for the lock: a buyer must not get an order for a lapsed hold

    -- The rows are locked, so what is read here is still so when they are updated.
    select array_agg(h.id) filter (where h.status = 'active' and h.expires_at > v_now),
           sum(h.quantity) filter (where h.status = 'active' and h.expires_at > v_now)
    into v_placed, v_units
    from (select distinct w.id from unnest(v_wanted) as w (id)) wanted
    cross join lateral (
        select * from holds h where h.product_id = p_product_id and h.id = wanted.id offset 0) h;

    if v_placed is not null then
        v_due := date_trunc('milliseconds', v_now + p_ttl_us * interval '1 microsecond');
        insert into orders (product_id, id, quantity, amount, currency, payment_due_at, created_at)
        select h.product_id, h.id, h.quantity, h.quantity::bigint * p.price, p.currency, v_due, v_now
        from unnest(v_placed) as placed (id)
        cross join lateral (
            select * from holds h where h.product_id = p_product_id and h.id = placed.id offset 0) h
        cross join products p
        where p.id = p_product_id;

        foreach v_id in array v_placed loop
            update holds h set status = 'ordered' where h.product_id = p_product_id and h.id = v_id;
        end loop;

        if p_keys is not null then
            insert into idempotency_keys (product_id, key, operation, reservation_id, created_at)
            select p_product_id, asked.key, 'place_order', asked.hold_id, v_now
            from (
                select u.hold_id, u.key, row_number() over (partition by u.hold_id order by u.n) as place
                from unnest(p_hold_ids, p_keys, v_known) with ordinality as u (hold_id, key, known, n)
                where u.known is null) asked
            where asked.place = 1 and asked.key is not null and asked.hold_id = any (v_placed);
        end if;

        v_is_rescheduled := schedule_job('expire_orders', p_product_id, v_due);
        update ordered_stock s set units = s.units + v_units where s.product_id = p_product_id;

        -- Whoever parks an event holds the lock on the hold's row (see apply_payment_events), and this transaction has
        -- it now: every event that found no order has been committed and is seen by this statement. Locked, so that
        -- none is applied while retention removes it.
        for v_event in
            select e.*
            from unnest(v_placed) as placed (id)
            cross join lateral (
                select * from payment_events e
                where e.product_id = p_product_id and e.order_id = placed.id and e.verdict = 'parked'
                for update) e
            order by e.received_at, e.idempotency_key
        loop
            update payment_events e
            set (verdict, order_status) = (
                select s.verdict, s.order_status
                from settle_payment_event(
                    p_product_id, v_event.order_id, v_event.status, v_event.amount, v_event.currency) s)
            where e.idempotency_key = v_event.idempotency_key and e.product_id = p_product_id;
        end loop;
    end if;

    return query
    select case
               when asked.known is not null then asked.known
               when h.id is null then 'not_found'
               when asked.place = 1 and h.id = any (v_placed) then 'placed'
               when h.status = 'ordered' then 'already_ordered'
               when h.status = 'active' then 'expired'
               else h.status
           end,
           v_is_rescheduled, asked.hold_id,
           o.quantity, o.amount, o.currency, o.status, o.payment_due_at, o.created_at, o.paid_at
    from (
        select u.*, row_number() over (partition by u.hold_id, u.known is null order by u.n) as place
        from unnest(p_hold_ids, v_known) with ordinality as u (hold_id, known, n)) asked
    left join lateral (
        select * from holds h where h.product_id = p_product_id and h.id = asked.hold_id offset 0) h on true
    left join lateral (
        select * from orders o where o.product_id = p_product_id and o.id = asked.hold_id offset 0) o on true
    order by asked.n;
end
$$;
