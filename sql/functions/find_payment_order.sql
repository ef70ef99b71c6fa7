-- The order of the payment that was recorded under this key. No row for an unknown key, or for an event that is no payment.
create or replace function find_payment_order(p_key text)
returns table (order_id uuid)
language plpgsql stable
security definer set search_path = pg_catalog, flashsale, pg_temp
set enable_seqscan = off
as $$
begin
    return query
    select e.order_id
    from payment_events e
    where e.idempotency_key = p_key and e.status = 'success'
    order by e.received_at
    limit 1;
end
$$;
