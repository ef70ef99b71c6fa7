-- Reserves units of several products in one transaction, where products have enough stock, no limits and no locks. It
-- never waits for a row or an advisory lock. So no product delays the others, and the order of its locks cannot cause a
-- deadlock.
--
-- A product is served whole or not at all. A product that is not served is left to reserve_holds, which serves it or says
-- why not. The reasons are: it is locked; it has too little stock; it is not on sale now; a request may be above a limit;
-- no job expires its holds in time; a key was used before.
--
-- The arrays have a place for each request. p_keys, p_customers and p_metadata are null when no request has any. A key comes
-- at most once for a product and customer.
--
-- Returns one row: the products that were served, null when none was, and when their holds expire.
create or replace function reserve_holds_together(
    p_product_ids integer[], p_hold_ids uuid[], p_quantities integer[], p_ttl_us bigint,
    p_keys text[], p_customers text[], p_metadata text[] default null)
returns table (served integer[], held_until timestamptz)
language plpgsql
security definer set search_path = pg_catalog, flashsale, pg_temp
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
declare
    v_now   constant timestamptz := clock_timestamp();
    v_ends_at  timestamptz;  -- when the first of these sales ends
    v_taken_at timestamptz;
    v_free  integer[];
    v_used  integer[];
    v_units integer[];
    v_rows  tid[];
    v_count integer;
    v_wanted integer;  -- events that are wanted of any of the products; endpoints want the same of all
begin
    v_count := cardinality(p_product_ids);
    if (is_list(p_product_ids, v_count) and array_position(p_product_ids, null) is null
        and is_list(p_hold_ids, v_count) and array_position(p_hold_ids, null) is null
        and is_list(p_quantities, v_count) and array_position(p_quantities, null) is null and 0 < all (p_quantities)
        and is_time_to_live(p_ttl_us) and (p_keys is null or is_list(p_keys, v_count))
        and (p_customers is null or is_list(p_customers, v_count))
        and (p_metadata is null or is_metadata_list(p_metadata, v_count))) is not true
    then
        perform refuse_arguments();
    end if;
    held_until := time_after(v_now, p_ttl_us);

    -- The locks on keys, customers and jobs are those of reserve_holds and schedule_job, but they are only tried. A product
    -- whose lock is taken is not served. Later statements read what the locks protect, and see what was committed before.
    -- Customers are not counted here, so their locks are shared. They keep erase_customer from missing a hold.
    v_free := array(
        select asked.id
        from (
            select u.id,
                   bool_and(u.key is null or pg_try_advisory_xact_lock(key_lock(u.id, u.key))) as has_keys,
                   bool_and(
                       u.customer_id is null
                       or pg_try_advisory_xact_lock_shared(customer_lock(u.id, u.customer_id))) as has_customers
            from unnest(p_product_ids, p_keys, p_customers) as u (id, key, customer_id)
            group by u.id) asked
        where asked.has_keys and asked.has_customers and pg_try_advisory_xact_lock_shared(job_lock(asked.id)));
    if p_keys is not null then
        v_used := array(
            select asked.id
            from unnest(p_product_ids, p_keys, p_customers) as asked (id, key, customer_id)
            cross join lateral (
                select from idempotency_keys k
                where k.product_id = asked.id and k.key = asked.key and k.customer_id = coalesce(asked.customer_id, '')
                offset 0) k);
    end if;

    -- The rows stay locked until the commit. So their values are still true when the stock is taken.
    select array_agg(wanted.id), array_agg(wanted.units), array_agg(p.ctid), min(p.ends_at), bit_or(p.wanted_events)
    into served, v_units, v_rows, v_ends_at, v_wanted
    from (
        select asked.id, sum(asked.quantity) as units, max(asked.quantity) as largest
        from unnest(p_product_ids, p_quantities) as asked (id, quantity)
        where asked.id = any (v_free) and asked.id <> all (coalesce(v_used, '{}'))
        group by asked.id) wanted
    cross join lateral (
        select j.run_at from scheduled_jobs j where j.product_id = wanted.id and j.kind = 'expire_holds' offset 0) j
    cross join lateral (
        select p.ctid, p.available_stock, p.is_paused, p.starts_at, p.ends_at, p.max_quantity_per_hold, p.max_per_customer,
               p.wanted_events
        from products p
        where p.id = wanted.id
        for update skip locked) p
    where j.run_at <= held_until
      and p.available_stock >= wanted.units and not p.is_paused
      and coalesce(p.starts_at <= v_now, true) and coalesce(p.ends_at > v_now, true)
      and coalesce(p.max_quantity_per_hold >= wanted.largest, true) and p.max_per_customer is null;
    if served is null then
        return next;
        return;
    end if;

    insert into holds (product_id, id, quantity, expires_at, customer_id, metadata)
    select asked.product_id, asked.id, asked.quantity, held_until, asked.customer_id, p_metadata[asked.n]::jsonb
    from unnest(p_product_ids, p_hold_ids, p_quantities, p_customers)
        with ordinality as asked (product_id, id, quantity, customer_id, n)
    where asked.product_id = any (served);

    if p_keys is not null then
        insert into idempotency_keys (product_id, key, customer_id, operation, hold_id, created_at)
        select asked.product_id, asked.key, coalesce(asked.customer_id, ''), 'reserve_hold', asked.id, v_now
        from unnest(p_product_ids, p_keys, p_customers, p_hold_ids) as asked (product_id, key, customer_id, id)
        where asked.key is not null and asked.product_id = any (served);
    end if;

    update products p
    set available_stock = p.available_stock - taken.units
    from unnest(served, v_rows, v_units) as taken (id, row, units)
    where p.ctid = taken.row and p.id = taken.id;
    get diagnostics v_count = row_count;
    if v_count <> cardinality(served) then
        raise exception '% of % products are not where they were locked', cardinality(served) - v_count, cardinality(served)
        using errcode = 'internal_error';
    end if;
    -- No row was waited for, but an operator may have locked a table. As in reserve_holds, the holds then begin now.
    v_taken_at := clock_timestamp();
    if v_taken_at >= v_ends_at then
        raise exception 'the sale of a product ended' using errcode = 'serialization_failure';
    elsif v_taken_at > least(v_now + clock_tolerance(p_ttl_us), held_until) then
        held_until := time_after(v_taken_at, p_ttl_us);
        for i in 1 .. cardinality(p_hold_ids) loop
            if p_product_ids[i] = any (served) then
                update holds h set expires_at = held_until
                where h.product_id = p_product_ids[i] and h.id = p_hold_ids[i];
            end if;
        end loop;
    end if;
    if v_wanted & event_bit('hold.placed') <> 0 then
        perform add_event_batch(asked.product_id, 'hold.placed', array_agg(asked.id), array_agg(1))
        from unnest(p_product_ids, p_hold_ids) as asked (product_id, id)
        where asked.product_id = any (served)
        group by asked.product_id;
    end if;
    return next;
end
$$;
