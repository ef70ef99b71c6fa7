-- Locks the holds with these ids, and returns them in the order of the locks (docs/architecture.md), as they are under the lock: for each of p_ids that exists its place there, the hold's id, where its row is (the ctid of
-- the newest version), and its columns. An id that comes several times does so in a row, in the order of its places;
-- nulls are passed over. All is null when there is none.
--
-- The row that is locked is read again after a wait, so what is returned of it is never older than the lock. Whatever
-- else depends on the lock has to be read in a later statement: that of the lock sees other rows as of before its wait.
create or replace function lock_holds(
    p_product_id integer, p_ids uuid[],
    out places integer[], out ids uuid[], out tids tid[], out quantities integer[], out statuses text[],
    out expiries timestamptz[])
language plpgsql
as $$
begin
    select array_agg(sorted.n), array_agg(locked.id), array_agg(locked.tid), array_agg(locked.quantity),
           array_agg(locked.status), array_agg(locked.expires_at)
    into places, ids, tids, quantities, statuses, expiries
    from (
        select asked.n, h.id
        from unnest(p_ids) with ordinality as asked (id, n)
        cross join lateral (
            select * from holds h where h.product_id = p_product_id and h.id = asked.id offset 0) h
        order by h.expires_at, h.id, asked.n) sorted
    cross join lateral (
        select h.ctid as tid, h.id, h.quantity, h.status, h.expires_at
        from holds h
        where h.product_id = p_product_id and h.id = sorted.id
        for update) locked;
end
$$;
