-- Takes the payment provider's word on orders of one product: several events, each with a key of its own, in the order
-- in which they came. Returns for each its verdict, the order's status, and whether the event was known already
-- ('replayed') or its key is taken by another payload ('key_reused').
create or replace function apply_payment_events(
    p_product_id integer, p_keys text[], p_order_ids uuid[], p_statuses text[], p_amounts bigint[], p_currencies text[])
returns table (outcome text, verdict text, order_status text)
language plpgsql
security definer set search_path = pg_catalog, flashsale, pg_temp
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
declare
    -- A repeat that comes sooner after the one before is not noted: that would be a write for each.
    c_told_again constant interval := interval '1 day';
    v_count constant integer := cardinality(p_keys);
    v_new            uuid[] := p_order_ids;  -- the orders of events that are not known
    v_late           text[];     -- customers of the successes that may be late, null for a hold without one
    v_customers      text[];     -- those that are locked
    v_customer_of    integer[];  -- for each event the position of its customer there
    v_as_of          timestamptz;
    v_known          record;
    v_repeated       text[];  -- keys of old parked failures that are told again
    v_locked         integer;
    v_decided        record;
    v_outcomes       text[];
    v_verdicts       text[];
    v_order_statuses text[];
    v_now            timestamptz;
begin
    if (v_count between 1 and 10000 and is_list(p_keys, v_count) and is_list(p_order_ids, v_count)
        and is_list(p_statuses, v_count) and is_list(p_amounts, v_count) and is_list(p_currencies, v_count)
        and (0 <= all (p_amounts)) is not false) is not true
    then
        perform refuse_arguments();
    end if;
    v_outcomes := array_fill('recorded'::text, array[v_count]);

    -- A late success takes units again, and a product may have max_per_customer. The customer may make a hold meanwhile:
    --
    --     payment: counts the customer's units
    --     buyer:   counts the customer's units, makes a hold, commits
    --     payment: takes the units of the order again; the customer has more than the limit
    --
    -- Both take the customer's lock before they count. It comes before all row locks, so the customers are looked for here.
    -- A success is late when its order is cancelled or expired, or when a failure of that order is in the batch. What
    -- changes after this look is noticed under the locks: see decide_payment_events.
    if exists (select from products p where p.id = p_product_id and p.max_per_customer is not null) then
        select array_agg(distinct h.customer_id) into v_late
        from (
            select asked.id, asked.status, bool_or(asked.status = 'failed') over (partition by asked.id) as may_fail
            from unnest(p_order_ids, p_statuses) as asked (id, status)) e
        cross join lateral (
            select * from holds h where h.product_id = p_product_id and h.id = e.id offset 0) h
        left join lateral (
            select * from orders o where o.product_id = p_product_id and o.id = e.id offset 0) o on true
        where e.status = 'success' and (e.may_fail or o.status in ('cancelled', 'expired'));
        v_customers := array_remove(v_late, null);
    end if;

    -- The same key on two servers at once: the second waits here until the first has committed. What is recorded is
    -- read in a later statement; one that locked and read at once would read as of before its wait, find nothing, and
    -- apply the event again. Sorted, so that two batches with the same keys do not wait for each other.
    perform pg_advisory_xact_lock(sorted.lock)
    from (
        select event_lock(key) as lock from unnest(p_keys) as key
        union
        select customer_lock(p_product_id, customer) from unnest(v_customers) as customer
        order by 1) as sorted;

    if v_late is not null then
        v_as_of := clock_timestamp();
        perform await_orders_of_customers(p_product_id, v_customers, v_as_of, null);
        -- 0 for a hold without a customer, null for a customer who is not locked and a hold that is not there yet.
        v_customer_of := array(
            select case when h.id is not null and h.customer_id is null then 0 else array_position(v_customers, h.customer_id) end
            from unnest(p_order_ids) with ordinality as asked (id, n)
            left join lateral (
                select * from holds h where h.product_id = p_product_id and h.id = asked.id offset 0) h on true
            order by asked.n);
    end if;

    for v_known in
        select asked.n, asked.key, e.verdict, e.order_status,
               e.verdict = 'parked' and e.status = 'failed'
               and greatest(e.received_at, e.told_at) < clock_timestamp() - c_told_again as is_kept_anew,
               (e.order_id, e.status) = (p_order_ids[asked.n], p_statuses[asked.n])
               and e.amount is not distinct from p_amounts[asked.n]
               and e.currency is not distinct from p_currencies[asked.n] as is_same
        from unnest(p_keys) with ordinality as asked (key, n)
        cross join lateral (select * from payment_events e where e.idempotency_key = asked.key offset 0) e
    loop
        v_new[v_known.n] := null;
        if v_known.is_same then
            v_outcomes[v_known.n] := 'replayed';
            v_verdicts[v_known.n] := v_known.verdict;
            v_order_statuses[v_known.n] := v_known.order_status;
            if v_known.is_kept_anew then
                v_repeated := v_repeated || v_known.key;
            end if;
        else
            v_outcomes[v_known.n] := 'key_reused';
        end if;
    end loop;

    if 'recorded' = any (v_outcomes) then
        v_decided := decide_payment_events(
            p_product_id, v_new, p_statuses, p_amounts, p_currencies, v_customers, v_customer_of, v_as_of);
        -- Parked events are applied in the order of their arrival, so no two of a batch came at the same moment.
        v_now := clock_timestamp();
        insert into payment_events (
            idempotency_key, product_id, order_id, status, amount, currency, verdict, order_status, received_at)
        select e.key, p_product_id, e.order_id, e.status, e.amount, e.currency, e.verdict, e.order_status,
               v_now + e.n * interval '1 microsecond'
        from unnest(
            p_keys, p_order_ids, p_statuses, p_amounts, p_currencies,
            v_outcomes, v_decided.verdicts, v_decided.order_statuses)
            with ordinality as e (key, order_id, status, amount, currency, outcome, verdict, order_status, n)
        where e.outcome = 'recorded';

        -- Other products have had this job from the start.
        if 'parked' = any (v_decided.verdicts) and not exists (select from products p where p.id = p_product_id) then
            insert into scheduled_jobs (product_id, kind, run_at)
            values (p_product_id, 'remove_old', v_now + interval '10 seconds')
            on conflict (product_id, kind) do nothing;
        end if;
    end if;

    -- Who is told "parked" can rely on it for a month: see remove_old. This is the last lock of all, and it is not waited
    -- for, since place_orders locks parked events before the product.
    if v_repeated is not null then
        select count(*) into v_locked
        from unnest(v_repeated) as repeated (key)
        cross join lateral (
            select from payment_events e
            where e.idempotency_key = repeated.key and e.product_id = p_product_id
            for update skip locked) e;
        if v_locked < cardinality(v_repeated) then
            raise exception 'the order of a parked event is being placed' using errcode = 'serialization_failure';
        end if;
        update payment_events e
        set told_at = clock_timestamp()
        where e.idempotency_key = any (v_repeated) and e.product_id = p_product_id and e.verdict = 'parked';
    end if;

    if 'replayed' = any (v_outcomes) then
        perform confirm_durably();
    end if;

    for i in 1 .. v_count loop
        outcome := v_outcomes[i];
        if outcome = 'recorded' then
            verdict := v_decided.verdicts[i];
            order_status := v_decided.order_statuses[i];
        else
            verdict := v_verdicts[i];
            order_status := v_order_statuses[i];
        end if;
        return next;
    end loop;
end
$$;
