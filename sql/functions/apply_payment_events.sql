-- Takes the payment provider's word on orders of one product: several events, each with a key of its own, in the order
-- in which they came. Returns for each its verdict, the order's status, and whether the event was known already
-- ('replayed') or its key is taken by another payload ('key_reused').
create or replace function apply_payment_events(
    p_product_id integer, p_keys text[], p_order_ids uuid[], p_statuses text[], p_amounts bigint[], p_currencies text[])
returns table (outcome text, verdict text, order_status text)
language plpgsql
security definer set search_path = public, pg_temp
-- Plans are made while tables are small, and kept. Without this setting, and the fences below (offset 0) behind which a row
-- is found by its whole key, the planner would rather read all rows of a product, which it takes for few.
set enable_seqscan = off
as $$
declare
    v_locked  uuid[];
    v_missing uuid[];
    v_units   bigint;
    v_event   payment_events;
begin
    -- The same key on two servers at once: the second waits here until the first has committed. What is recorded is
    -- read in a later statement; one that locked and read at once would read as of before its wait, find nothing, and
    -- apply the event again. Sorted, so that two batches with the same keys do not wait for each other.
    perform pg_advisory_xact_lock(key_hash)
    from (select distinct hashtextextended(k, 0) as key_hash from unnest(p_keys) as k order by 1) as sorted;

    v_locked := array(
        select locked.id
        from (
            select o.id
            from unnest(p_order_ids) as asked (id)
            cross join lateral (
                select * from orders o where o.product_id = p_product_id and o.id = asked.id offset 0) o
            order by o.payment_due_at, o.id) sorted
        cross join lateral (
            select o.id from orders o where o.product_id = p_product_id and o.id = sorted.id for update) locked);

    -- An order may be placed at this very moment, by a transaction that looks for parked events before this one has
    -- parked its own. Both lock the hold's row first, so one of them sees what the other did.
    -- Missing is what was not locked: to look for the orders again could find one that was placed since, and that
    -- nobody has locked.
    v_missing := array(select id from unnest(p_order_ids) as id except select id from unnest(v_locked) as id);
    if cardinality(v_missing) > 0 then
        perform from (
            select h.id
            from unnest(v_missing) as asked (id)
            cross join lateral (
                select * from holds h where h.product_id = p_product_id and h.id = asked.id offset 0) h
            order by h.expires_at, h.id) sorted
        cross join lateral (
            select from holds h where h.product_id = p_product_id and h.id = sorted.id for update) locked;
        perform from (
            select o.id
            from unnest(v_missing) as asked (id)
            cross join lateral (
                select * from orders o where o.product_id = p_product_id and o.id = asked.id offset 0) o
            order by o.payment_due_at, o.id) sorted
        cross join lateral (
            select from orders o where o.product_id = p_product_id and o.id = sorted.id for update) locked;
    end if;

    -- A late success takes its units again. Lapsed holds count as available, so reclaim as many as may be wanted.
    select sum(o.quantity) into v_units
    from unnest(p_order_ids, p_statuses) as e (order_id, status)
    cross join lateral (
        select * from orders o where o.product_id = p_product_id and o.id = e.order_id offset 0) o
    where e.status = 'success' and o.status in ('cancelled', 'expired');
    if v_units > 0 then
        select e.units into v_units from expire_holds(p_product_id, v_units) e;
        perform from ordered_stock s where s.product_id = p_product_id for update;  -- comes before the product's row
        update products p set available_stock = p.available_stock + v_units where p.id = p_product_id and v_units > 0;
    end if;

    for i in 1 .. cardinality(p_keys) loop
        select * into v_event
        from payment_events e
        where e.idempotency_key = p_keys[i];

        if not found then
            select s.verdict, s.order_status into verdict, order_status
            from settle_payment_event(p_product_id, p_order_ids[i], p_statuses[i], p_amounts[i], p_currencies[i]) s;
            insert into payment_events (
                idempotency_key, product_id, order_id, status, amount, currency, verdict, order_status, received_at)
            values (
                p_keys[i], p_product_id, p_order_ids[i], p_statuses[i], p_amounts[i], p_currencies[i],
                verdict, order_status, clock_timestamp());
            outcome := 'recorded';
        elsif (v_event.order_id, v_event.status) = (p_order_ids[i], p_statuses[i])
            and v_event.amount is not distinct from p_amounts[i]
            and v_event.currency is not distinct from p_currencies[i]
        then
            verdict := v_event.verdict;
            order_status := v_event.order_status;
            outcome := 'replayed';
        else
            verdict := null;
            order_status := null;
            outcome := 'key_reused';
        end if;
        return next;
    end loop;
end
$$;
