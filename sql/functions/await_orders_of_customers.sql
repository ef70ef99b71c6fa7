-- Waits for orders of these customers that are being placed from holds which had lapsed at p_at. Such an order was placed
-- in time and is not committed yet; its session has the hold locked.
--
-- Each hold is waited for p_patience_ms at most. With p_patience_ms null the session's lock_timeout applies, and reaching
-- it is an error. The caller counts holds that had not lapsed at p_at as active.
--
-- The locks are undone. Callers lock lapsed holds later, from the oldest on. A lock in the middle of that order could
-- cause a deadlock.
create or replace function await_orders_of_customers(
    p_product_id integer, p_customers text[], p_at timestamptz, p_patience_ms integer)
returns void
language plpgsql
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
declare
    v_lapsed constant uuid[] := array(
        select h.id from lapsed_holds_of_customers(p_product_id, p_customers, p_at) h);
begin
    if v_lapsed = '{}' then
        return;
    end if;
    begin
        if p_patience_ms is not null then
            perform set_config('lock_timeout', p_patience_ms::text, true);
        end if;
        perform lock_holds(p_product_id, v_lapsed);
        raise exception using errcode = 'FS001', message = 'undone';
    exception
        when sqlstate 'FS001' then null;
        when lock_not_available then
            if p_patience_ms is null then
                raise;
            end if;
    end;
end
$$;
