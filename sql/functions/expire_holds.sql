-- Expires up to p_limit holds of a product whose time has run out, the oldest first. Returns how many there were and
-- their units, which the caller adds to available_stock in the same transaction, after its locks on rows.
--
-- A worker and a buyer who finds too little stock may both come here at once: each locks the rows in the same order, and
-- for whoever is second the lock looks at the status again and passes over what is no longer active. So only the change
-- from active yields units, and it happens once. The update goes by the keys of what was locked and by nothing else: a
-- condition on the status could lead the planner to the index of all active holds, for every row.
create or replace function expire_holds(p_product_id integer, p_limit bigint)
returns table (expired integer, units integer)
language plpgsql
-- Plans are made while tables are small, and kept.
set enable_seqscan = off
as $$
declare
    v_now timestamptz := clock_timestamp();
begin
    return query
    with lapsed as (
        select id
        from holds
        where product_id = p_product_id and status = 'active' and expires_at <= v_now
        order by expires_at, id
        limit p_limit
        for update
    ), done as (
        update holds h
        set status = 'expired'
        from lapsed
        where h.product_id = p_product_id and h.id = lapsed.id
        returning h.quantity
    )
    select count(*)::integer, coalesce(sum(done.quantity), 0)::integer from done;
end
$$;
