-- Locks the holds with these ids. Returns them as they are under the lock, in the order of the locks. Lock order:
-- docs/architecture.md.
--
-- places has each hold's place in p_ids, and tids where its row is: the ctid of the newest version. An id that comes
-- several times comes in a row, in the order of its places. Nulls and unknown ids are passed over. All columns are null
-- when no hold is found. metadata has under each place the metadata of its hold, and is null when no hold has any.
--
-- PostgreSQL reads the locked row again after a wait, so it is never older than the lock. Everything else that depends on
-- the lock must be read in a later statement. This one sees other rows as of before its wait.
create or replace function lock_holds(
    p_product_id integer, p_ids uuid[],
    out places integer[], out ids uuid[], out tids tid[], out quantities integer[], out statuses text[],
    out expiries timestamptz[], out metadata jsonb)
language plpgsql
as $$
begin
    select array_agg(sorted.n), array_agg(locked.id), array_agg(locked.tid), array_agg(locked.quantity),
           array_agg(locked.status), array_agg(locked.expires_at),
           jsonb_object_agg(sorted.n, locked.metadata) filter (where locked.metadata is not null)
    into places, ids, tids, quantities, statuses, expiries, metadata
    from (
        select asked.n, h.id
        from unnest(p_ids) with ordinality as asked (id, n)
        cross join lateral (
            select * from holds h where h.product_id = p_product_id and h.id = asked.id offset 0) h
        order by h.expires_at, h.id, asked.n) sorted
    cross join lateral (
        select h.ctid as tid, h.id, h.quantity, h.status, h.expires_at, h.metadata
        from holds h
        where h.product_id = p_product_id and h.id = sorted.id
        for update) locked;
end
$$;
