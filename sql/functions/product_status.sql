-- The status of a product at p_at, by its sale's window and the units that were available then. p_may_return says whether units
-- are in active holds or unpaid orders.
create or replace function product_status(
    p_starts_at timestamptz, p_ends_at timestamptz, p_is_paused boolean, p_at timestamptz, p_available bigint,
    p_may_return boolean)
returns text
language sql immutable
as $$
    select case
        when p_at >= p_ends_at then 'ended'
        when p_is_paused then 'paused'
        when p_at < p_starts_at then 'upcoming'
        when p_available > 0 then 'on_sale'
        when p_may_return then 'reserved_out'
        else 'sold_out'
    end
$$;
