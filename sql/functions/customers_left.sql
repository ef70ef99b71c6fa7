-- How many units of a product each of these customers may still take at p_at, given the most that one may have in holds and
-- live orders.
--
-- A lapsed hold of theirs may be on its way into an order that was placed in time and is not committed yet: another session
-- has it locked then. How many units that are is in unsure, null when there are none; they are not taken off units_left.
-- With p_patience_ms such holds are waited for first, each for so long at most.
--
-- The locks are undone: the caller locks lapsed holds from the oldest on, and to have some in the middle already would make a
-- circle with whoever does the same. They tell enough: who has not locked a hold by now finds that its time is over.
create or replace function customers_left(
    p_product_id integer, p_customers text[], p_most integer, p_at timestamptz, p_patience_ms integer,
    out units_left integer[], out unsure integer[])
language plpgsql
-- Plans are made while tables are small, and kept.
set enable_seqscan = off
as $$
declare
    v_timeout constant text := current_setting('lock_timeout');
    v_lapsed  uuid[];
    v_free    uuid[] := '{}';
begin
    v_lapsed := array(
        select h.id
        from unnest(p_customers) as c (customer_id)
        cross join lateral (
            select * from holds h
            where h.product_id = p_product_id and h.customer_id = c.customer_id and h.status in ('active', 'ordered')
            offset 0) h
        where h.status = 'active' and h.expires_at <= p_at
        order by h.expires_at, h.id);
    if p_patience_ms is not null then
        begin
            perform set_config('lock_timeout', p_patience_ms::text, true);
            perform lock_holds(p_product_id, v_lapsed);
            raise exception using errcode = 'FS001', message = 'undone';
        exception
            when sqlstate 'FS001' or lock_not_available then null;
        end;
    end if;
    if v_lapsed <> '{}' then
        begin
            -- As they are under the lock: one may have become an order before it.
            v_free := array(
                select locked.id
                from unnest(v_lapsed) as lapsed (id)
                cross join lateral (
                    select h.id, h.status from holds h
                    where h.product_id = p_product_id and h.id = lapsed.id
                    for update skip locked) locked
                where locked.status = 'active');
            raise exception using errcode = 'FS001', message = 'undone';
        exception
            when sqlstate 'FS001' then null;
        end;
    end if;
    -- A later statement, which sees what those committed whose locks are gone.
    select array_agg(p_most - own.taken order by c.n),
           case when sum(own.lapsed) > 0 then array_agg(own.lapsed order by c.n) end
    into units_left, unsure
    from unnest(p_customers) with ordinality as c (customer_id, n)
    cross join lateral (
        select coalesce(sum(h.quantity) filter (where h.status = 'ordered' or h.expires_at > p_at), 0)::integer as taken,
               coalesce(sum(h.quantity) filter (where h.status = 'active' and h.expires_at <= p_at), 0)::integer as lapsed
        from (
            select * from holds h
            where h.product_id = p_product_id and h.customer_id = c.customer_id and h.status in ('active', 'ordered')
            offset 0) h
        where h.id <> all (v_free)
          and (h.status = 'active' or exists (
              select from orders o
              where o.product_id = p_product_id and o.id = h.id and o.status in ('pending_payment', 'paid')
              offset 0))) own;
end
$$;
