-- Takes the payment provider's word on orders of one product: several events, each with a key of its own, in the order
-- in which they came. Returns for each its verdict, the order's status, and whether the event was known already
-- ('replayed') or its key is taken by another payload ('key_reused').
create or replace function apply_payment_events(
    p_product_id integer, p_keys text[], p_order_ids uuid[], p_statuses text[], p_amounts bigint[], p_currencies text[])
returns table (outcome text, verdict text, order_status text)
language plpgsql
security definer set search_path = pg_catalog, flashsale, pg_temp
-- Plans are made while tables are small, and kept. Without this setting, and the fences below (offset 0) behind which a row
-- is found by its whole key, the planner would rather read all rows of a product, which it takes for few.
set enable_seqscan = off
-- A plan of its own for each call would look cheaper, for most batches are shorter than what is assumed of an array, and
-- take longer to make than to run.
set plan_cache_mode = force_generic_plan
as $$
declare
    v_new            uuid[] := p_order_ids;  -- the orders of events that are not known
    v_known          record;
    v_settled        record;
    v_outcomes       text[] := array_fill('recorded'::text, array[cardinality(p_keys)]);
    v_verdicts       text[];
    v_order_statuses text[];
    v_now            timestamptz;
begin
    -- The same key on two servers at once: the second waits here until the first has committed. What is recorded is
    -- read in a later statement; one that locked and read at once would read as of before its wait, find nothing, and
    -- apply the event again. Sorted, so that two batches with the same keys do not wait for each other.
    perform pg_advisory_xact_lock(key_hash)
    from (select distinct hashtextextended(k, 0) as key_hash from unnest(p_keys) as k order by 1) as sorted;

    for v_known in
        select asked.n, e.verdict, e.order_status,
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
        else
            v_outcomes[v_known.n] := 'key_reused';
        end if;
    end loop;

    if 'recorded' = any (v_outcomes) then
        v_settled := settle_payment_events(p_product_id, v_new, p_statuses, p_amounts, p_currencies);
        -- Parked events are applied in the order of their arrival, so no two of a batch came at the same moment.
        v_now := clock_timestamp();
        insert into payment_events (
            idempotency_key, product_id, order_id, status, amount, currency, verdict, order_status, received_at)
        select e.key, p_product_id, e.order_id, e.status, e.amount, e.currency, e.verdict, e.order_status,
               v_now + e.n * interval '1 microsecond'
        from unnest(
            p_keys, p_order_ids, p_statuses, p_amounts, p_currencies,
            v_outcomes, v_settled.verdicts, v_settled.order_statuses)
            with ordinality as e (key, order_id, status, amount, currency, outcome, verdict, order_status, n)
        where e.outcome = 'recorded';

        -- Other products have had this job from the start.
        if 'parked' = any (v_settled.verdicts) and not exists (select from products p where p.id = p_product_id) then
            insert into scheduled_jobs (product_id, kind, run_at)
            values (p_product_id, 'remove_old', v_now + interval '10 seconds')
            on conflict (product_id, kind) do nothing;
        end if;
    end if;

    if 'replayed' = any (v_outcomes) then
        perform confirm_durably();
    end if;

    for i in 1 .. cardinality(p_keys) loop
        outcome := v_outcomes[i];
        if outcome = 'recorded' then
            verdict := v_settled.verdicts[i];
            order_status := v_settled.order_statuses[i];
        else
            verdict := v_verdicts[i];
            order_status := v_order_statuses[i];
        end if;
        return next;
    end loop;
end
$$;
