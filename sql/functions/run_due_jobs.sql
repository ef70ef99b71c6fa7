-- Runs jobs that are due and that no other worker has claimed. One call and one commit run many, so a thousand products
-- whose holds lapse together are not a thousand commits. After a crash at any point everything is as before.
--
-- A prompt worker runs expiry. A patient worker (p_is_patient) runs expiry that failed before, and then removal. So neither
-- delays a prompt worker.
--
-- Each job is a subtransaction. A job that fails is put off, and a patient worker tries it again. Only the first job of
-- a call waits for locks: the transaction has no lock then that others want. Later jobs hardly wait, since two workers
-- that wait with locks of other products could deadlock:
--
--     worker: expires product 1, keeps its row locked, waits for product 2
--     other:  has locked product 2, waits for product 1
--
-- Returns a row for each job: its kind and product, how late it started, and how many rows it expired or removed. It also
-- says whether that changed the stock. For a job that failed it says why, and how many times in a row. When no job was due,
-- returns one row with next_in_us alone: how many microseconds after the call the next job is due. It is null when there is
-- no job, and zero or less when another worker has it.
create or replace function run_due_jobs(
    p_is_patient boolean, p_limit integer, p_key_ttl_us bigint, p_hold_retention_us bigint, p_parked_ttl_us bigint)
returns table (
    kind text, product_id integer, late_us bigint, rows_done integer, is_stock_changed boolean, failure text,
    failures integer, next_in_us bigint)
language plpgsql
security definer set search_path = pg_catalog, flashsale, pg_temp
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
set lock_timeout = '5ms'
as $$
declare
    -- No other job begins after this time: products that were expired stay locked until the commit.
    c_longest constant interval := interval '10 milliseconds';
    -- PostgreSQL keeps the numbers of 64 subtransactions at hand. With more, all snapshots become slower.
    c_most_jobs constant integer := 60;
    -- A job whose work trickles in runs again no sooner than this: few large batches instead of many small ones.
    c_pause constant interval := interval '50 milliseconds';
    -- The pause after the first failure. It doubles with each failure.
    c_first_retry constant interval := interval '10 milliseconds';
    c_last_retry  constant interval := interval '500 milliseconds';
    -- A sale locks its product for milliseconds at a time, so this wait finds the product free. A product that fails
    -- more often is locked for long. It is tried briefly, so that others do not wait for it.
    c_patience    constant text := '50ms';
    c_most_waits  constant integer := 3;
    v_started constant timestamptz := clock_timestamp();
    v_now     timestamptz;
    v_jobs    scheduled_jobs[];
    v_count   integer := 0;
    v_rows    bigint := 0;
    v_job     scheduled_jobs;
    v_units   integer;
    v_next    timestamptz;
begin
    if (p_limit between 1 and 10000) is not true then
        perform refuse_arguments();
    end if;

    -- One query claims all jobs, since each query has to skip the jobs that ran a moment ago. Jobs that this call does
    -- not reach are free again in milliseconds.
    v_jobs := array(
        select j
        from scheduled_jobs j
        where j.rank = case when p_is_patient then 1 else 0 end and coalesce(j.retry_at, j.run_at) <= v_started
        order by coalesce(j.retry_at, j.run_at)
        limit c_most_jobs
        for update skip locked);
    if p_is_patient and cardinality(v_jobs) = 0 then
        -- Removal may take long, so it has a transaction to itself.
        v_jobs := array(
            select j
            from scheduled_jobs j
            where j.rank = 2 and coalesce(j.retry_at, j.run_at) <= v_started
            order by coalesce(j.retry_at, j.run_at)
            limit 1
            for update skip locked);
    end if;

    foreach v_job in array v_jobs loop
        v_now := clock_timestamp();
        exit when v_rows >= p_limit or (v_count > 0 and v_now >= v_started + c_longest);

        kind := v_job.kind;
        product_id := v_job.product_id;
        late_us := extract(epoch from v_now - v_job.run_at) * 1000000;
        failure := null;
        failures := 0;
        v_units := 0;
        if v_count > 0 then
            perform set_config('lock_timeout', '1ms', true);
        elsif v_job.failures between 1 and c_most_waits then
            perform set_config('lock_timeout', c_patience, true);
        end if;
        v_count := v_count + 1;

        begin
            case kind
                when 'expire_holds' then
                    -- Holds that another session has locked are tried again after c_pause.
                    select e.expired, e.units into rows_done, v_units
                    from expire_holds(v_job.product_id, p_limit, null) e;
                when 'expire_orders' then
                    select e.expired, e.units into rows_done, v_units from expire_orders(v_job.product_id, p_limit) e;
                when 'remove_old' then
                    select r.removed, r.next_at into rows_done, v_next
                    from remove_old(v_job.product_id, p_limit, p_key_ttl_us, p_hold_retention_us, p_parked_ttl_us) r;
            end case;

            if kind <> 'remove_old' then
                -- The job lock is exclusive here: see schedule_job. Lock order: docs/architecture.md.
                perform pg_advisory_xact_lock(job_lock(v_job.product_id));
                v_next := case kind
                    when 'expire_holds' then (
                        select min(h.expires_at) from holds h
                        where h.product_id = v_job.product_id and h.status = 'active')
                    when 'expire_orders' then (
                        select min(o.payment_due_at) from orders o
                        where o.product_id = v_job.product_id and o.status = 'pending_payment')
                end;
                if rows_done < p_limit then
                    v_next := greatest(v_next, case when v_next is not null then clock_timestamp() + c_pause end);
                end if;
            end if;
            if v_next is null then
                delete from scheduled_jobs j where j.product_id = v_job.product_id and j.kind = v_job.kind;
            else
                update scheduled_jobs j set run_at = v_next, failures = 0, retry_at = null
                where j.product_id = v_job.product_id and j.kind = v_job.kind;
            end if;

            is_stock_changed := coalesce(v_units, 0) > 0;
            if is_stock_changed then
                if kind = 'expire_orders' then
                    update ordered_stock s set units = s.units - v_units where s.product_id = v_job.product_id;
                end if;
                update products p set available_stock = p.available_stock + v_units where p.id = v_job.product_id;
            end if;
            v_rows := v_rows + rows_done;
        exception
            when query_canceled or others then  -- statement_timeout raises query_canceled
                failure := sqlerrm || ' (SQLSTATE ' || sqlstate || ')';
                failures := v_job.failures + 1;
                rows_done := 0;
                is_stock_changed := false;
                update scheduled_jobs j
                set failures = v_job.failures + 1,
                    retry_at = clock_timestamp() + least(c_last_retry, c_first_retry * 2 ^ least(v_job.failures, 16))
                where j.product_id = v_job.product_id and j.kind = v_job.kind;
        end;
        return next;
        exit when failure like '%(SQLSTATE 57014)';  -- statement_timeout fires once a call
    end loop;

    if v_count = 0 then
        -- Counted from the call. Counted from now, a job that became due since would look as if another worker had it.
        select (extract(epoch from min(due.at) - v_started) * 1000000)::bigint into next_in_us
        from unnest(case when p_is_patient then '{1,2}' else '{0}' end::integer[]) as ranks (rank)
        cross join lateral (
            select coalesce(j.retry_at, j.run_at) as at
            from scheduled_jobs j
            where j.rank = ranks.rank
            order by coalesce(j.retry_at, j.run_at)
            limit 1) due;
        return next;
    end if;
end
$$;
