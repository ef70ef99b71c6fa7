-- Gives back the units of active holds of one product, then reads all the holds named. A hold that is no longer active
-- is left as it is, and its status says why.
create or replace function release_holds(p_product_id integer, p_hold_ids uuid[])
returns table (id uuid, quantity integer, status text, expires_at timestamptz, remaining_us bigint)
language plpgsql
security definer set search_path = public, pg_temp
-- Plans are made while tables are small, and kept. Without this setting, and the fences below (offset 0) behind which a row
-- is found by its whole key, the planner would rather read all rows of a product, which it takes for few.
set enable_seqscan = off
as $$
declare
    v_now      timestamptz;
    v_released uuid[];
    v_id       uuid;
    v_units    integer;
begin
    perform from (
        select h.id
        from unnest(p_hold_ids) as asked (id)
        cross join lateral (
            select * from holds h where h.product_id = p_product_id and h.id = asked.id offset 0) h
        order by h.expires_at, h.id) sorted
    cross join lateral (
        select from holds h where h.product_id = p_product_id and h.id = sorted.id for update) locked;
    v_now := clock_timestamp();  -- after the wait for the lock: the hold may have lapsed meanwhile

    select array_agg(h.id) filter (where h.status = 'active' and h.expires_at > v_now),
           sum(h.quantity) filter (where h.status = 'active' and h.expires_at > v_now)
    into v_released, v_units
    from (select distinct a.id from unnest(p_hold_ids) as a (id)) asked
    cross join lateral (
        select * from holds h where h.product_id = p_product_id and h.id = asked.id offset 0) h;
    if v_units > 0 then
        foreach v_id in array v_released loop
            update holds h set status = 'released' where h.product_id = p_product_id and h.id = v_id;
        end loop;
        update products p set available_stock = p.available_stock + v_units where p.id = p_product_id;
    end if;
    return query select * from read_holds(p_product_id, p_hold_ids);
end
$$;
