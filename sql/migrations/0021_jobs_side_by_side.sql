-- Workers take jobs that nothing stands in the way of first. A job that failed is put off until retry_at, and run_at keeps
-- saying when it was due. Each rank has workers of its own: 0 is expiry, 1 is expiry that failed before, 2 is removal.
alter table scheduled_jobs
    add column failures integer not null default 0,  -- in a row
    add column retry_at timestamptz,
    add column rank     smallint generated always as (
        case when kind = 'remove_old' then 2 when failures > 0 then 1 else 0 end) stored,
    add constraint scheduled_jobs_retried_after_failure check ((failures > 0) = (retry_at is not null));

drop index scheduled_jobs_by_run_at;
create index scheduled_jobs_by_rank on scheduled_jobs (rank, coalesce(retry_at, run_at));

drop function if exists run_next_job(integer, bigint, bigint, bigint);
