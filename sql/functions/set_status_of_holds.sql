-- Sets the status of holds whose rows the caller has locked. p_tids are the ctids that the locking select returned. No
-- other session can change or move a locked row.
--
-- One statement with one plan serves any number of rows. The scans that find rows by a value are switched off. So a table
-- that was small or empty when the plan was made does not mislead the planner.
--
-- p_wanted has the events that are wanted of the product. An event is added for each hold that was released or expired.
create or replace function set_status_of_holds(
    p_product_id integer, p_tids tid[], p_status text, p_wanted integer default 0)
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
begin
    if p_wanted <> 0 and p_wanted & event_bit('hold.' || p_status) <> 0 then
        with changed as (
            update holds h set status = p_status where h.product_id = p_product_id and h.ctid = any (p_tids) returning h.id)
        select array_agg(c.id), count(*) into v_ids, v_count from changed c;
        perform add_event_batch(p_product_id, 'hold.' || p_status, v_ids, array_fill(2, array[v_count]));
    else
        update holds h set status = p_status where h.product_id = p_product_id and h.ctid = any (p_tids);
        get diagnostics v_count = row_count;
    end if;
    if v_count <> cardinality(p_tids) then
        raise exception '% of % holds are not where they were locked', cardinality(p_tids) - v_count, cardinality(p_tids)
        using errcode = 'internal_error';
    end if;
    return v_count;
end
$$;
