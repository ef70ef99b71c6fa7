-- Gives back the units of active holds of one product, then reads all the holds named. A hold that is not active stays as
-- it is, and its status says why.
create or replace function release_holds(p_product_id integer, p_hold_ids uuid[])
returns table (id uuid, quantity integer, status text, expires_at timestamptz, remaining_us bigint, metadata text)
language plpgsql
security definer set search_path = pg_catalog, flashsale, pg_temp
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
declare
    v_locked   record;
    v_now      timestamptz;
    v_released tid[];
    v_ids      uuid[];  -- of these holds, each once
    v_units    bigint := 0;
    v_wanted   integer;
begin
    if is_list(p_hold_ids, cardinality(p_hold_ids)) is not true then
        perform refuse_arguments();
    end if;
    v_locked := lock_holds(p_product_id, p_hold_ids);
    v_now := clock_timestamp();  -- after the wait for the lock: the hold may have lapsed meanwhile
    for i in 1 .. coalesce(cardinality(v_locked.ids), 0) loop
        if v_locked.statuses[i] = 'active' and v_locked.expiries[i] > v_now
            and v_locked.ids[i] is distinct from v_locked.ids[i - 1]
        then
            v_released := v_released || v_locked.tids[i];
            v_ids := v_ids || v_locked.ids[i];
            v_units := v_units + v_locked.quantities[i];
        end if;
    end loop;
    if v_released is not null then
        perform set_status_of_holds(p_product_id, v_released, 'released');
        update products p set available_stock = p.available_stock + v_units where p.id = p_product_id
        returning p.wanted_events into v_wanted;
        if v_wanted & event_bit('hold.released') <> 0 then
            perform add_event_batch(p_product_id, 'hold.released', v_ids, array_fill(2, array[cardinality(v_ids)]));
        end if;
    end if;
    return query select * from read_holds(p_product_id, p_hold_ids);
end
$$;
