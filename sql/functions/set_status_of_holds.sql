-- Changes the status of holds whose rows the caller has locked, named by where they are: p_tids are the ctids that the
-- locking select returned, of the newest versions, which nobody can change or move while they are locked.
--
-- A call for many rows is one statement, and has one plan: whatever finds rows by a value is switched off, so a table
-- that was small or empty when the plan was made does not lead it astray.
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
