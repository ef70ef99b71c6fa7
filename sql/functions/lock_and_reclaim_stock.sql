-- Locks the stock of a product and adds p_reclaimed, the units of lapsed holds that the caller has expired.
--
-- Holds lapse while the transaction waits for locks, too. When less than p_wanted is available, it also expires the holds
-- that lapsed since. It passes over holds that another session has locked. The product's row is the last lock, so nothing
-- is waited for behind it.
--
-- Returns how many units can be taken, null for an unknown product. Then how many more units have lapsed in locked holds,
-- which may still become orders. Then when that was.
create or replace function lock_and_reclaim_stock(
    p_product_id integer, p_reclaimed bigint, p_wanted bigint,
    out available bigint, out lapsed bigint, out as_of timestamptz)
language plpgsql
set enable_seqscan = off
as $$
declare
    v_tids   tid[];
    v_units  bigint;
    v_wanted integer;
begin
    update products p
    set available_stock = p.available_stock + p_reclaimed
    where p.id = p_product_id
    returning p.available_stock, p.wanted_events into available, v_wanted;
    as_of := clock_timestamp();
    lapsed := 0;
    if available < p_wanted then
        select array_agg(h.tid), sum(h.quantity) into v_tids, v_units
        from (
            select h.ctid as tid, h.quantity
            from holds h
            where h.product_id = p_product_id and h.status = 'active' and h.expires_at <= as_of
            order by h.expires_at, h.id
            limit p_wanted - available
            for update skip locked) h;
        if v_units > 0 then
            perform set_status_of_holds(p_product_id, v_tids, 'expired', v_wanted);
            update products p
            set available_stock = p.available_stock + v_units
            where p.id = p_product_id
            returning p.available_stock into available;
        end if;
        lapsed := lapsed_units(p_product_id, as_of);
    end if;
end
$$;
