-- A hold in the data of an event: as the API showed it at p_at, with its customer and version. The row may have changed since,
-- but the status follows from the type, and the other columns never change.
create or replace function hold_event_data(p_hold holds, p_type text, p_at timestamptz, p_version integer)
returns jsonb
language sql stable
as $$
    select jsonb_build_object(
        'hold_id', 'hold_' || replace(p_hold.id::text, '-', ''),
        'product_id', p_hold.product_id, 'customer_id', p_hold.customer_id, 'quantity', p_hold.quantity,
        'status', case p_type when 'hold.placed' then 'active' else split_part(p_type, '.', 2) end,
        'expires_at', rfc3339(p_hold.expires_at),
        'expires_in_seconds', greatest(0, floor(extract(epoch from p_hold.expires_at - p_at)))::bigint,
        'metadata', coalesce(p_hold.metadata, '{}'), 'version', p_version)
$$;
