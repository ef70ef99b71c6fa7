-- Makes sure that a job of this kind runs for the product at p_run_at or earlier. Returns whether that changed a row: then
-- a worker that sleeps for longer must be woken.
--
-- The job lock protects this from a worker that has finished the same job and removes it:
--
--     buyer:  inserts a hold, not yet committed
--     buyer:  sees the job and leaves it as it is
--     worker: sees no active hold and deletes the job
--     buyer:  commits; no worker will ever expire the hold
--
-- Buyers share the lock until their commit. The worker takes it exclusively before it looks for holds that remain. So
-- it sees the holds of every buyer who relied on the job. A later buyer sees the changed job.
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

    -- The job exists and is due too late: the time to live was shortened. A locked row is skipped and not waited for. If a
    -- worker has it locked, the worker is about to wait for the job lock. It will see this transaction's rows and choose
    -- the time by them. If a buyer has it locked, that buyer moves the job, too. Only if that buyer's transaction is undone
    -- does the job run late.
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
