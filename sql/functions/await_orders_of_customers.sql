-- A lapsed hold of a customer may be on its way into an order that was placed in time and is not committed yet. Waits for
-- such orders, and returns the time of the look. Holds that lapse later are to be counted as active: they may be on such a
-- way, too.
--
-- The locks are undone: callers lock lapsed holds from the oldest on, and to have some in the middle already would make a
-- circle with another transaction that does the same.
create or replace function await_orders_of_customers(p_product_id integer, p_customers text[])
returns timestamptz
language plpgsql
-- Plans are made while tables are small, and kept.
set enable_seqscan = off
as $$
declare
    v_now constant timestamptz := clock_timestamp();
begin
    perform from holds h
    where h.product_id = p_product_id and h.customer_id = any (p_customers)
      and h.status = 'active' and h.expires_at <= v_now
    order by h.expires_at, h.id
    for update;
    if found then
        raise exception using errcode = 'FS001', message = 'undone';
    end if;
    return v_now;
exception
    when sqlstate 'FS001' then
        return v_now;
end
$$;
