-- The newest payment events, at most p_limit.
create or replace function list_payment_events(p_limit integer)
returns table (
    idempotency_key text, order_id uuid, status text, amount bigint, currency text,
    verdict text, order_status text, received_at timestamptz)
language sql
as $$
    select idempotency_key, order_id, status, amount, currency, verdict, order_status, received_at
    from payment_events
    order by received_at desc
    limit p_limit
$$;
