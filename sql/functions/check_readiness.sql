-- Shows that a hold could be made now. It locks the tables that holds, orders and payments write, in the same mode. So it
-- fails while another session has a table to itself. Its commit waits for the disk and for synchronous standbys.
create or replace function check_readiness()
returns void
language plpgsql
security definer set search_path = pg_catalog, flashsale, pg_temp
-- The caller needs an answer soon.
set lock_timeout = '500ms'
as $$
begin
    lock table products, holds, ordered_stock, orders, payment_events, idempotency_keys, scheduled_jobs, event_batches
        in row exclusive mode;
    perform confirm_durably();
end
$$;
