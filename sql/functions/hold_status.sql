-- The status of a hold as clients see it at p_now. A lapsed hold is expired, released by a worker or not.
create or replace function hold_status(p_status text, p_expires_at timestamptz, p_now timestamptz)
returns text
language sql immutable
as $$
    select case when p_status = 'active' and p_expires_at <= p_now then 'expired' else p_status end
$$;
