-- An order in the data of an event: as the API shows it, with its customer and version.
--
-- It is as it was at the event, although the row may have changed since. An order that is placed, paid, cancelled or expired has
-- no refund and no dispute yet. Its other columns never change, and paid_at is set once.
create or replace function order_event_data(p_order orders, p_customer_id text, p_type text, p_version integer)
returns jsonb
language sql stable
as $$
    select jsonb_build_object(
        'order_id', 'order_' || replace(p_order.id::text, '-', ''),
        'hold_id', 'hold_' || replace(p_order.id::text, '-', ''),
        'product_id', p_order.product_id, 'customer_id', p_customer_id,
        'quantity', p_order.quantity, 'amount', p_order.amount, 'currency', p_order.currency,
        'status', case p_type
            when 'order.placed' then 'pending_payment'
            when 'order.paid' then 'paid'
            when 'order.cancelled' then 'cancelled'
            when 'order.expired' then 'expired'
            else p_order.status end,
        'payment_due_at', rfc3339(p_order.payment_due_at), 'created_at', rfc3339(p_order.created_at),
        'paid_at', case when p_type in ('order.paid', 'order.refunded', 'order.disputed') then rfc3339(p_order.paid_at) end,
        'refunded_amount',
            case when p_type in ('order.refunded', 'order.disputed') then p_order.refunded_amount else 0 end,
        'dispute', case when p_type in ('order.refunded', 'order.disputed') then p_order.dispute end,
        'metadata', coalesce(p_order.metadata, '{}'), 'version', p_version)
$$;
