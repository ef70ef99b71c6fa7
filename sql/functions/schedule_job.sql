-- Makes sure that the job of this kind runs for the product at p_run_at or earlier. True when that took a change, so
-- that a worker which sleeps for longer has to be woken.
--
-- The job lock makes this safe against a worker that is done with the same job and removes it:
--
--     buyer:  inserts a hold, not yet committed
--     buyer:  sees the job and leaves it be
--     worker: sees no active hold and deletes the job
--     buyer:  commits; nobody will ever expire the hold
--
-- Buyers share the lock until they have committed; the worker takes it alone before it looks for what remains, so it
-- sees the holds of everybody who relied on the job, and whoever comes later sees what it did to the job.
create or replace function schedule_job(p_kind text, p_product_id integer, p_run_at timestamptz)
returns boolean
language plpgsql
as $$
begin
    perform pg_advisory_xact_lock_shared(job_lock(p_product_id));
    if exists (
        select from scheduled_jobs
        where product_id = p_product_id and kind = p_kind and run_at <= p_run_at
    ) then
        return false;
    end if;

    insert into scheduled_jobs (product_id, kind, run_at)
    values (p_product_id, p_kind, p_run_at)
    on conflict (product_id, kind) do nothing;
    if found then
        return true;
    end if;

    -- There is one, due too late: the time to live was shortened. When a worker has its row locked it is about to wait
    -- for the job lock, will then see this transaction's rows and choose the time by them: skip, do not wait for it. When a
    -- buyer has, who does the same, it is moved already; only if that is undone, the job comes as late as it was.
    update scheduled_jobs j
    set run_at = p_run_at
    from (
        select product_id, kind
        from scheduled_jobs
        where product_id = p_product_id and kind = p_kind and run_at > p_run_at
        for update skip locked
    ) late
    where j.product_id = late.product_id and j.kind = late.kind;
    return found;
end
$$;
