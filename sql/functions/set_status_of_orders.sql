-- Sets the status of orders whose rows the caller has locked, and their payment time, null if they are not paid. p_tids
-- and the plan are as in set_status_of_holds.
--
-- p_wanted has the events that are wanted of the product. If the event of this status is one of them, each order gets one, and
-- its version is raised.
create or replace function set_status_of_orders(
    p_product_id integer, p_tids tid[], p_status text, p_paid_at timestamptz, p_wanted integer default 0)
returns integer
language plpgsql
set enable_seqscan = off
set enable_indexscan = off
set enable_bitmapscan = off
set plan_cache_mode = force_generic_plan
as $$
declare
    v_count integer;
    v_ids   uuid[];
    v_versions integer[];
begin
    if p_wanted <> 0 and p_wanted & event_bit('order.' || p_status) <> 0 then
        with changed as (
            update orders o
            set status = p_status, paid_at = p_paid_at, version = o.version + 1
            where o.product_id = p_product_id and o.ctid = any (p_tids)
            returning o.id, o.version)
        select array_agg(c.id), array_agg(c.version), count(*) into v_ids, v_versions, v_count from changed c;
        if v_count > 0 then
            perform add_event_batch(p_product_id, 'order.' || p_status, v_ids, v_versions);
        end if;
    else
        update orders o
        set status = p_status, paid_at = p_paid_at
        where o.product_id = p_product_id and o.ctid = any (p_tids);
        get diagnostics v_count = row_count;
    end if;
    if v_count <> cardinality(p_tids) then
        raise exception '% of % orders are not where they were locked', cardinality(p_tids) - v_count, cardinality(p_tids)
        using errcode = 'internal_error';
    end if;
    return v_count;
end
$$;
