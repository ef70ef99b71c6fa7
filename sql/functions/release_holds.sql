-- Gives back the units of active holds of one product, then reads all the holds named. A hold that is no longer active
-- is left as it is, and its status says why.
create or replace function release_holds(p_product_id integer, p_hold_ids uuid[])
returns table (id uuid, quantity integer, status text, expires_at timestamptz, remaining_us bigint)
language plpgsql
security definer set search_path = public, pg_temp
as $$
declare
    v_now      timestamptz;
    v_released uuid[];
    v_units    integer;
begin
    perform from holds h
    where h.product_id = p_product_id and h.id = any (p_hold_ids)
    order by h.expires_at, h.id
    for update;
    v_now := clock_timestamp();  -- after the wait for the lock: the hold may have lapsed meanwhile

    -- As in place_orders, the status is no condition for the planner; the rows are locked.
    select array_agg(h.id) filter (where h.status = 'active' and h.expires_at > v_now),
           sum(h.quantity) filter (where h.status = 'active' and h.expires_at > v_now)
    into v_released, v_units
    from holds h
    where h.product_id = p_product_id and h.id = any (p_hold_ids);
    if v_units > 0 then
        update holds h
        set status = 'released'
        where h.product_id = p_product_id and h.id = any (v_released);
        update products p set available_stock = p.available_stock + v_units where p.id = p_product_id;
    end if;
    return query select * from read_holds(p_product_id, p_hold_ids);
end
$$;
