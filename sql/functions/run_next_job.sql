-- Runs one job that is due, if there is one that no other worker has claimed, and sets the time of its next run or
-- removes it. All in one transaction: after a crash at any point everything is as before.
--
-- A job that fails is put off, so that those of other products have their turn: somebody may have locked one of its rows
-- for long, and it is not waited for any longer than here.
--
-- Returns what the job was, how late it started, how many rows it expired or removed, whether that changed the stock, and
-- why it failed (null when it did not); all of them null when no job was due. Then in how many microseconds from the call on
-- the next one is due, null when there is none, and not above zero when another worker has it.
create or replace function run_next_job(
    p_limit integer, p_key_ttl_us bigint, p_hold_retention_us bigint, p_parked_ttl_us bigint)
returns table (
    kind text, product_id integer, late_us bigint, rows_done integer, is_stock_changed boolean, failure text,
    next_in_us bigint)
language plpgsql
security definer set search_path = pg_catalog, flashsale, pg_temp
set lock_timeout = '500ms'
as $$
declare
    -- A job whose work trickles in is run again no sooner than this: few large batches instead of many small ones.
    c_pause constant interval := interval '50 milliseconds';
    c_pause_after_failure constant interval := interval '1 second';
    v_job   scheduled_jobs;
    v_now   timestamptz := clock_timestamp();
    v_units integer;
    v_next  timestamptz;
begin
    select * into v_job
    from scheduled_jobs j
    where j.run_at <= v_now
    order by j.run_at
    limit 1
    for update skip locked;

    if found then
        kind := v_job.kind;
        product_id := v_job.product_id;
        late_us := extract(epoch from v_now - v_job.run_at) * 1000000;
        begin
            case kind
                when 'expire_holds' then
                    -- Holds that somebody has locked are looked at again after c_pause.
                    select e.expired, e.units into rows_done, v_units
                    from expire_holds(v_job.product_id, p_limit, null) e;
                when 'expire_orders' then
                    select e.expired, e.units into rows_done, v_units from expire_orders(v_job.product_id, p_limit) e;
                when 'remove_old' then
                    select r.removed, r.next_at into rows_done, v_next
                    from remove_old(v_job.product_id, p_limit, p_key_ttl_us, p_hold_retention_us, p_parked_ttl_us) r;
            end case;

            if kind <> 'remove_old' then
                -- Alone from here: see schedule_job. The order of locks is that of reserve_holds.
                perform pg_advisory_xact_lock(job_lock_class(), v_job.product_id);
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
                update scheduled_jobs j set run_at = v_next where j.product_id = v_job.product_id and j.kind = v_job.kind;
            end if;

            is_stock_changed := coalesce(v_units, 0) > 0;
            if is_stock_changed then
                if kind = 'expire_orders' then
                    update ordered_stock s set units = s.units - v_units where s.product_id = v_job.product_id;
                end if;
                update products p set available_stock = p.available_stock + v_units where p.id = v_job.product_id;
            end if;
        exception
            when serialization_failure or deadlock_detected then
                raise;  -- the whole is run again
            when query_canceled or others then  -- the former is statement_timeout's
                failure := sqlerrm || ' (SQLSTATE ' || sqlstate || ')';
                rows_done := 0;
                is_stock_changed := false;
                update scheduled_jobs j set run_at = clock_timestamp() + c_pause_after_failure
                where j.product_id = v_job.product_id and j.kind = v_job.kind;
        end;
    end if;

    -- Not from now on: what became due since would look as if another had it.
    select (extract(epoch from min(j.run_at) - v_now) * 1000000)::bigint into next_in_us
    from scheduled_jobs j;
    return next;
end
$$;
