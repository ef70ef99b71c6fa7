-- Shows that a hold could be made now. It takes the locks on tables that holds, orders and payments take, in the same mode, so
-- it fails while somebody keeps a table to themselves; and its commit waits for the disk and for synchronous standbys.
create or replace function check_readiness()
returns void
language plpgsql
security definer set search_path = pg_catalog, flashsale, pg_temp
-- Whoever asks has to hear of it soon.
set lock_timeout = '500ms'
as $$
begin
    lock table products, holds, ordered_stock, orders, payment_events, idempotency_keys, scheduled_jobs
        in row exclusive mode;
    perform confirm_durably();
end
$$;
