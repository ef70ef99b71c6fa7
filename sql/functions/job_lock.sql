-- The number of the advisory lock on a product's jobs: see schedule_job.
create or replace function job_lock(p_product_id integer)
returns bigint
language sql immutable
as $$ select 4294967296 + p_product_id $$;
