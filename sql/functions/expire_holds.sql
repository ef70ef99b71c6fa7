-- Expires up to p_limit holds of a product whose time has run out, the oldest first. Returns how many there were and
-- their units, which the caller adds to available_stock in the same transaction, after its locks on rows.
--
-- A worker and a buyer who finds too little stock may both come here at once: each locks the rows in the same order, and
-- for whoever is second the lock looks at the status again and passes over what is no longer active. So only the change
-- from active yields units, and it happens once.
create or replace function expire_holds(p_product_id integer, p_limit bigint)
returns table (expired integer, units integer)
language plpgsql
-- Plans are made while tables are small, and kept: one update of many rows could come to read all rows of the product.
set enable_seqscan = off
as $$
declare
    v_now  timestamptz := clock_timestamp();
    v_hold record;
begin
    expired := 0;
    units := 0;
    for v_hold in
        select h.id, h.quantity
        from holds h
        where h.product_id = p_product_id and h.status = 'active' and h.expires_at <= v_now
        order by h.expires_at, h.id
        limit p_limit
        for update
    loop
        update holds h set status = 'expired' where h.product_id = p_product_id and h.id = v_hold.id;
        expired := expired + 1;
        units := units + v_hold.quantity;
    end loop;
    return next;
end
$$;
