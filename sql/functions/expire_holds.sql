-- Expires up to p_limit holds of a product whose time has run out, the oldest first. Returns how many there were and
-- their units, which the caller adds to available_stock in the same transaction, after its locks on rows.
--
-- A worker and a buyer who finds too little stock may both come here at once: each locks the rows in the same order, and
-- for whoever is second the lock looks at the status again and passes over what is no longer active. So only the change
-- from active yields units, and it happens once.
create or replace function expire_holds(p_product_id integer, p_limit bigint)
returns table (expired integer, units integer)
language plpgsql
-- Plans are made while tables are small, and kept.
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
declare
    v_now  timestamptz := clock_timestamp();
    v_tids tid[];
begin
    select coalesce(array_agg(h.tid), '{}'), coalesce(sum(h.quantity), 0) into v_tids, units
    from (
        select h.ctid as tid, h.quantity
        from holds h
        where h.product_id = p_product_id and h.status = 'active' and h.expires_at <= v_now
        order by h.expires_at, h.id
        limit p_limit
        for update) h;
    expired := mark_holds(p_product_id, v_tids, 'expired');
    return next;
end
$$;
