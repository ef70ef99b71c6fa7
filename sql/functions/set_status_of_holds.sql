-- Sets the status of holds whose rows the caller has locked. p_tids are the ctids that the locking select returned. No
-- other session can change or move a locked row.
--
-- One statement with one plan serves any number of rows. The scans that find rows by a value are switched off. So a table
-- that was small or empty when the plan was made does not mislead the planner.
create or replace function set_status_of_holds(p_product_id integer, p_tids tid[], p_status text)
returns integer
language plpgsql
set enable_seqscan = off
set enable_indexscan = off
set enable_bitmapscan = off
set plan_cache_mode = force_generic_plan
as $$
declare
    v_count integer;
begin
    update holds h set status = p_status where h.product_id = p_product_id and h.ctid = any (p_tids);
    get diagnostics v_count = row_count;
    if v_count <> cardinality(p_tids) then
        raise exception '% of % holds are not where they were locked', cardinality(p_tids) - v_count, cardinality(p_tids)
        using errcode = 'internal_error';
    end if;
    return v_count;
end
$$;
