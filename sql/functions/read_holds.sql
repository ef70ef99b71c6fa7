-- Holds of one product as they stand at this moment: past its time a hold reads as expired, released by a worker or
-- not. Ids that do not exist yield no row.
create or replace function read_holds(p_product_id integer, p_hold_ids uuid[])
returns table (id uuid, quantity integer, status text, expires_at timestamptz, remaining_us bigint)
language plpgsql
security definer set search_path = public, pg_temp
as $$
declare
    v_now timestamptz := clock_timestamp();
begin
    return query
    select h.id, h.quantity,
           case when h.status = 'active' and h.expires_at <= v_now then 'expired' else h.status end,
           h.expires_at,
           greatest(0, extract(epoch from h.expires_at - v_now) * 1000000)::bigint
    from holds h
    where h.product_id = p_product_id and h.id = any (p_hold_ids);
end
$$;
