-- Reserves units of one product for several buyers at once, first come first served.
--
-- Locks are taken in one order everywhere, so that no two transactions wait for each other:
-- rows of orders, rows of holds, the product's job lock (see schedule_job), the product's row.
--
-- Rows first, stock last: the product's row is what everybody wants, and it stays locked from its update to the commit.
--
-- Returns whether each request was granted, in the order of the requests, when the holds expire, and whether a worker
-- has to be woken. Returns no row for an unknown product.
create or replace function reserve_holds(
    p_product_id integer, p_hold_ids uuid[], p_quantities integer[], p_ttl_us bigint)
returns table (granted boolean[], held_until timestamptz, is_rescheduled boolean)
language plpgsql
as $$
declare
    v_wanted    bigint  := (select sum(q) from unnest(p_quantities) q);
    v_smallest  integer := (select min(q) from unnest(p_quantities) q);
    v_available bigint;
    v_reclaimed bigint;
    v_taken     bigint  := 0;
    v_now       timestamptz := clock_timestamp();
begin
    is_rescheduled := false;
    select available_stock into v_available from products where id = p_product_id;
    if not found then
        return;
    end if;

    -- The common case: there is enough for all. Two servers may both read so; the condition of the update, which is
    -- evaluated on the newest version of the row once it is locked, is what keeps the stock from being sold twice.
    if v_available >= v_wanted then
        held_until := date_trunc('milliseconds', v_now + p_ttl_us * interval '1 microsecond');
        insert into holds (product_id, id, quantity, expires_at)
        select p_product_id, h.id, h.quantity, held_until
        from unnest(p_hold_ids, p_quantities) as h (id, quantity);
        is_rescheduled := schedule_job('expire_holds', p_product_id, held_until);

        update products
        set available_stock = available_stock - v_wanted
        where id = p_product_id and available_stock >= v_wanted;
        if found then
            granted := array_fill(true, array[cardinality(p_hold_ids)]);
            return next;
            return;
        end if;
        -- Another server was faster between the read and the update. What follows takes locks on holds, which come before
        -- the two that this transaction has taken by now: undo all of it. The next attempt reads that little is left.
        raise exception 'product % was sold to others', p_product_id using errcode = 'serialization_failure';
    end if;

    -- Sold out is the answer that most buyers get: say so without a lock or a write, once not even the smallest request
    -- would fit with all lapsed holds counted.
    select available_stock + lapsed_units(id, v_now) into v_available from products where id = p_product_id;
    if v_smallest > v_available then
        granted := array_fill(false, array[cardinality(p_hold_ids)]);
        return next;
        return;
    end if;

    -- Little is left. Reclaim lapsed holds, at least as many units as are wanted if there are so many, then grant in
    -- order of arrival what fits; a request that is too large does not stand in the way of a smaller one behind it.
    select units into v_reclaimed from expire_holds(p_product_id, v_wanted);
    held_until := date_trunc('milliseconds', clock_timestamp() + p_ttl_us * interval '1 microsecond');
    is_rescheduled := schedule_job('expire_holds', p_product_id, held_until);
    update products
    set available_stock = available_stock + v_reclaimed
    where id = p_product_id
    returning available_stock into v_available;
    for i in 1 .. cardinality(p_hold_ids) loop
        granted[i] := p_quantities[i] <= v_available - v_taken;
        if granted[i] then
            v_taken := v_taken + p_quantities[i];
        end if;
    end loop;
    if v_taken > 0 then
        insert into holds (product_id, id, quantity, expires_at)
        select p_product_id, h.id, h.quantity, held_until
        from unnest(p_hold_ids, p_quantities, granted) as h (id, quantity, is_granted)
        where h.is_granted;
        update products
        set available_stock = available_stock - v_taken
        where id = p_product_id and available_stock >= v_taken;
        if not found then
            raise exception 'the stock of product % changed while its row was locked', p_product_id;
        end if;
    end if;
    return next;
end
$$;
