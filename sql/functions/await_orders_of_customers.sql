-- A lapsed hold of a customer may be on its way into an order that was placed in time and is not committed yet: another
-- session has it locked then. Waits for such sessions: each for p_patience_ms at most, or for as long as the session waits for
-- any lock when that is null, which is an error then. Holds that had not lapsed at p_at are to be counted as active: they may
-- be on such a way, too.
--
-- The locks are undone: callers lock lapsed holds from the oldest on, and to have some in the middle already would make a
-- circle with another transaction that does the same.
create or replace function await_orders_of_customers(
    p_product_id integer, p_customers text[], p_at timestamptz, p_patience_ms integer)
returns void
language plpgsql
set enable_seqscan = off
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
