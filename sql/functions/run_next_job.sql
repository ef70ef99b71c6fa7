-- Runs one job that is due, if there is one that no other worker has claimed, and sets the time of its next run or
-- removes it. All in one transaction: after a crash at any point everything is as before.
--
-- Returns how many holds or orders the job expired, null when no job was due, and in how many microseconds the next one
-- is due, null when there is none.
create or replace function run_next_job(p_limit integer)
returns table (expired integer, next_in_us bigint)
language plpgsql
as $$
declare
    -- A job whose work trickles in is run again no sooner than this: few large batches instead of many small ones.
    c_pause constant interval := interval '50 milliseconds';
    v_job   scheduled_jobs;
    v_now   timestamptz := clock_timestamp();
    v_units integer;
    v_next  timestamptz;
begin
    select * into v_job
    from scheduled_jobs
    where run_at <= v_now
    order by run_at
    limit 1
    for update skip locked;

    if found then
        case v_job.kind
            when 'expire_holds' then
                select * into expired, v_units from expire_holds(v_job.product_id, p_limit);
            when 'expire_orders' then
                select * into expired, v_units from expire_orders(v_job.product_id, p_limit);
        end case;

        -- Alone from here: see schedule_job. The order of locks is that of reserve_holds.
        perform pg_advisory_xact_lock(job_lock_class(), v_job.product_id);
        v_next := case v_job.kind
            when 'expire_holds' then (
                select min(expires_at) from holds where product_id = v_job.product_id and status = 'active')
            when 'expire_orders' then (
                select min(payment_due_at) from orders
                where product_id = v_job.product_id and status = 'pending_payment')
        end;
        if v_next is null then
            delete from scheduled_jobs where product_id = v_job.product_id and kind = v_job.kind;
        else
            update scheduled_jobs
            set run_at = case when expired < p_limit then greatest(v_next, clock_timestamp() + c_pause) else v_next end
            where product_id = v_job.product_id and kind = v_job.kind;
        end if;
        if v_units > 0 then
            update products set available_stock = available_stock + v_units where id = v_job.product_id;
        end if;
    end if;

    select (extract(epoch from min(run_at) - clock_timestamp()) * 1000000)::bigint into next_in_us
    from scheduled_jobs;
    return next;
end
$$;
