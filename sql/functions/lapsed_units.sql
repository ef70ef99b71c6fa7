-- Units in active holds that had lapsed at p_at. They count as available, released by a worker or not.
--
-- It is stable: it reads the snapshot of the calling statement, so its sum fits that statement's available_stock.
--
-- Its plan must be made for p_at. A general plan expects a third of the active holds and reads them with parallel workers: 12 ms
-- instead of 0.04 ms with 465,000 active holds.
create or replace function lapsed_units(p_product_id integer, p_at timestamptz)
returns bigint
language plpgsql stable
set enable_seqscan = off
as $$
begin
    return coalesce((
        select sum(quantity)
        from holds
        where product_id = p_product_id and status = 'active' and expires_at <= p_at), 0);
end
$$;
