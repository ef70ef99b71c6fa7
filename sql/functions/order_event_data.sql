-- An order in the data of an event: as the API shows it, with its customer and version.
create or replace function order_event_data(p_order orders, p_customer_id text)
returns jsonb
language sql stable
as $$
    select jsonb_build_object(
        'order_id', 'order_' || replace(p_order.id::text, '-', ''),
        'hold_id', 'hold_' || replace(p_order.id::text, '-', ''),
        'product_id', p_order.product_id, 'customer_id', p_customer_id,
        'quantity', p_order.quantity, 'amount', p_order.amount, 'currency', p_order.currency, 'status', p_order.status,
        'payment_due_at', rfc3339(p_order.payment_due_at), 'created_at', rfc3339(p_order.created_at),
        'paid_at', rfc3339(p_order.paid_at), 'refunded_amount', p_order.refunded_amount, 'dispute', p_order.dispute,
        'metadata', coalesce(p_order.metadata, '{}'), 'version', p_order.version)
$$;
