-- Records payment events of one product and applies them to their orders, in the order of their arrival. Each event of a
-- call has a key of its own. Lock order: docs/architecture.md.
--
-- p_payment_keys has the key of the payment that a refund or dispute is about, null for other events. It is null when no event
-- has one. Refunds and disputes are recorded as parked first: see decide_refunds.
--
-- Returns for each event its verdict and the order's status, as they are after all events of the call. The outcome is 'recorded';
-- 'replayed' when the same event was recorded before; or 'key_reused' when another payload was. The first row also has the money
-- that refunds of the call added to refunded amounts, in minor units, and its currency; both are null when there was none.
create or replace function apply_payment_events(
    p_product_id integer, p_keys text[], p_order_ids uuid[], p_statuses text[], p_amounts bigint[], p_currencies text[],
    p_payment_keys text[] default null)
returns table (outcome text, verdict text, order_status text, refunded bigint, refunded_currency text)
language plpgsql
security definer set search_path = pg_catalog, flashsale, pg_temp
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
declare
    -- A repeat within this time of the last note is not noted. Otherwise each repeat would be a write.
    c_told_again constant interval := interval '1 day';
    v_count constant integer := cardinality(p_keys);
    v_new            uuid[] := p_order_ids;  -- the orders of new events, null for known ones
    v_late           text[];     -- customers of successes that may be late, null for a hold without one
    v_customers      text[];     -- the customers that are locked
    v_customer_of    integer[];  -- for each event the position of its customer there
    v_as_of          timestamptz;
    v_known          record;
    v_repeated       text[];  -- keys of parked events whose repeat is noted
    v_payments       text[];  -- keys of payments whose parked refunds and disputes may be decided now
    v_locked         integer;
    v_decided        record;
    v_refunds        record;
    v_outcomes       text[];
    v_verdicts       text[];
    v_order_statuses text[];
    v_now            timestamptz;
    v_has_limit      boolean;  -- null for an unknown product
    v_wanted         integer;  -- events
begin
    if (v_count between 1 and 10000 and is_list(p_keys, v_count) and is_list(p_order_ids, v_count)
        and is_list(p_statuses, v_count) and is_list(p_amounts, v_count) and is_list(p_currencies, v_count)
        and (0 <= all (p_amounts)) is not false
        and case
            when p_payment_keys is null then p_statuses <@ '{success,failed,attempt_failed}'
            else is_list(p_payment_keys, v_count)
        end) is not true
    then
        perform refuse_arguments();
    end if;
    if p_payment_keys is not null and exists (
        select from unnest(p_statuses, p_amounts, p_payment_keys) as e (status, amount, payment_key)
        where (e.status in ('success', 'failed', 'attempt_failed')) is distinct from (e.payment_key is null)
           or (e.status in ('refund', 'refunded_total') and e.amount is null))
    then
        perform refuse_arguments();
    end if;
    v_outcomes := array_fill('recorded'::text, array[v_count]);

    -- A late success takes units again, and the product may have max_per_customer. The customer may make a hold meanwhile:
    --
    --     payment: counts the customer's units
    --     buyer:   counts the customer's units, makes a hold, commits
    --     payment: takes the units of the order again; the customer has more than the limit
    --
    -- So both lock the customer before they count. Advisory locks come before all row locks, so the customers are
    -- looked up here. A success is late when its order is cancelled or expired, or the batch has a failure of that
    -- order. Later changes are noticed under the locks: see decide_payment_events.
    select p.max_per_customer is not null, p.wanted_events into v_has_limit, v_wanted
    from products p
    where p.id = p_product_id;
    if v_has_limit then
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

    -- A second server with the same key waits here until the first has committed. A later statement reads the recorded
    -- events. A statement that locked and read would see the rows as of before its wait. It would find nothing, and apply
    -- the event again. A refund and its payment wait for each other, too: see decide_refunds.
    perform pg_advisory_xact_lock(sorted.lock)
    from (
        select event_lock(key) as lock from unnest(p_keys || p_payment_keys) as key
        union
        select customer_lock(p_product_id, customer) from unnest(v_customers) as customer
        order by 1) as sorted;

    if v_late is not null then
        v_as_of := clock_timestamp();
        perform await_orders_of_customers(p_product_id, v_customers, v_as_of, null);
        -- 0 for a hold without a customer. Null for a customer who is not locked, and for a hold that does not exist yet.
        v_customer_of := array(
            select case when h.id is not null and h.customer_id is null then 0 else array_position(v_customers, h.customer_id) end
            from unnest(p_order_ids) with ordinality as asked (id, n)
            left join lateral (
                select * from holds h where h.product_id = p_product_id and h.id = asked.id offset 0) h on true
            order by asked.n);
    end if;

    for v_known in
        select asked.n, asked.key, e.verdict, e.order_status, e.idempotency_key <> asked.key as is_about_key,
               e.verdict = 'parked' and e.status <> 'success'
               and greatest(e.received_at, e.told_at) < clock_timestamp() - c_told_again as is_kept_anew,
               (e.order_id, e.status) = (p_order_ids[asked.n], p_statuses[asked.n])
               and e.amount is not distinct from p_amounts[asked.n]
               and e.currency is not distinct from p_currencies[asked.n]
               and e.payment_key is not distinct from p_payment_keys[asked.n] as is_same
        from unnest(p_keys) with ordinality as asked (key, n)
        cross join lateral (
            select * from payment_events e where e.idempotency_key = asked.key
            union all
            select * from payment_events e where e.payment_key = asked.key
            offset 0) e
        -- Of the second kind, refunds and disputes that wait for a payment under this key.
        where e.idempotency_key = asked.key or (e.product_id = p_product_id and e.verdict = 'parked')
    loop
        if v_known.is_about_key then
            v_payments := v_payments || v_known.key;
            continue;
        end if;
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
            p_product_id, v_new, p_statuses, p_amounts, p_currencies, v_customers, v_customer_of, v_as_of,
            p_wanted => v_wanted);
        -- Parked events are applied in the order of their arrival. So no two events of a batch may arrive at the same
        -- moment.
        v_now := clock_timestamp();
        insert into payment_events (
            idempotency_key, product_id, order_id, status, amount, currency, payment_key, verdict, order_status, received_at)
        select e.key, p_product_id, e.order_id, e.status, e.amount, e.currency, e.payment_key, e.verdict, e.order_status,
               v_now + e.n * interval '1 microsecond'
        from unnest(
            p_keys, p_order_ids, p_statuses, p_amounts, p_currencies, p_payment_keys,
            v_outcomes, v_decided.verdicts, v_decided.order_statuses)
            with ordinality as e (key, order_id, status, amount, currency, payment_key, outcome, verdict, order_status, n)
        where e.outcome = 'recorded';
        if v_wanted <> 0 then
            perform add_verdict_events(p_product_id, p_keys, v_decided.verdicts, v_wanted);
        end if;

        if p_payment_keys is not null then
            v_payments := v_payments || array(
                select e.payment_key
                from unnest(p_payment_keys, v_outcomes) as e (payment_key, outcome)
                where e.payment_key is not null and e.outcome = 'recorded');
        end if;
        if v_payments is not null then
            v_refunds := decide_refunds(p_product_id, v_payments);
            if v_refunds.refunded > 0 then
                refunded := v_refunds.refunded;
                refunded_currency := v_refunds.refunded_currency;
            end if;
            -- A refund was decided with its payment, or has settled it.
            for v_known in
                select asked.n, e.verdict, e.order_status
                from unnest(p_keys) with ordinality as asked (key, n)
                cross join lateral (
                    select * from payment_events e
                    where e.idempotency_key = asked.key and e.product_id = p_product_id
                    offset 0) e
                where v_outcomes[asked.n] <> 'key_reused'
            loop
                v_verdicts[v_known.n] := v_known.verdict;
                v_order_statuses[v_known.n] := v_known.order_status;
            end loop;
        end if;

        -- A product that exists has this job already.
        if 'parked' = any (v_decided.verdicts) and not exists (select from products p where p.id = p_product_id) then
            insert into scheduled_jobs (product_id, kind, run_at)
            values (p_product_id, 'remove_old', v_now + interval '10 seconds')
            on conflict (product_id, kind) do nothing;
        end if;
    end if;

    -- A provider that is told "parked" can rely on it for a month: see remove_old. This lock comes after the product's row,
    -- while place_orders locks parked events before it. So this lock is not waited for.
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
        if outcome = 'recorded' and v_verdicts[i] is null then
            verdict := v_decided.verdicts[i];
            order_status := v_decided.order_statuses[i];
        else
            verdict := v_verdicts[i];
            order_status := v_order_statuses[i];
        end if;
        return next;
        refunded := null;
        refunded_currency := null;
    end loop;
end
$$;
