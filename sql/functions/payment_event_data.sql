-- A payment event in the data of an event: as the API shows it. Its version is always 1.
create or replace function payment_event_data(p_event payment_events)
returns jsonb
language sql stable
as $$
    select jsonb_build_object(
        'idempotency_key', p_event.idempotency_key, 'order_id', 'order_' || replace(p_event.order_id::text, '-', ''),
        'status', p_event.status, 'amount', p_event.amount, 'currency', p_event.currency, 'verdict', p_event.verdict,
        'order_status', p_event.order_status, 'received_at', rfc3339(p_event.received_at),
        'settled_at', rfc3339(p_event.settled_at), 'payment_key', p_event.payment_key, 'version', 1)
$$;
