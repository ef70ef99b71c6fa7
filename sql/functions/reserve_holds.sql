-- Reserves units of one product for several buyers at once, first come first served.
--
-- Locks are taken in one order, so that transactions do not wait for each other in a circle: keys and customers
-- (advisory, sorted), rows of orders, rows of holds, the product's job lock (see schedule_job), the product's row in
-- ordered_stock, parked payment events, the product's row. A payment event that comes before its order has to lock the
-- hold first and then look for the order again, so circles are possible between batches of events with the same unknown
-- orders, and with lapsed holds; PostgreSQL then ends one of the two, which is run again.
--
-- Rows first, stock last: the product's row is what everybody wants, and it stays locked from its update to the commit.
--
-- p_keys has the idempotency keys, null for requests without one; p_customers the customers, each once, and
-- p_customer_of for each request the position of its customer there. All three are null when no request has any.
--
-- Returns one row, none for an unknown product:
--   outcomes        for each request, in their order: held, replayed or key_reused (for its key), too_few,
--                   too_many (above max_quantity_per_hold), customer_missing, customer_limit, not_started, ended
--   held_until      when the new holds expire
--   is_rescheduled  whether a worker has to be woken
--   hold_ids        p_hold_ids, but where a request was replayed, the hold it made the first time; null without keys
--   and what a buyer who was refused can do next, as of the decision.
create or replace function reserve_holds(
    p_product_id integer, p_hold_ids uuid[], p_quantities integer[], p_ttl_us bigint,
    p_keys text[], p_customers text[], p_customer_of integer[])
returns table (
    outcomes text[], held_until timestamptz, is_rescheduled boolean, hold_ids uuid[],
    available_stock integer, held_stock integer, next_release_at timestamptz, next_release_in_us bigint,
    starts_at timestamptz, starts_in_us bigint, ends_at timestamptz,
    max_quantity_per_hold integer, max_per_customer integer)
language plpgsql
security definer set search_path = pg_catalog, flashsale, pg_temp
-- Plans are made while tables are small, and kept. Without this setting, and the fences below (offset 0) behind which a row
-- is found by its whole key, the planner would rather read all rows of a product, which it takes for few.
set enable_seqscan = off
as $$
declare
    v_count     constant integer := cardinality(p_hold_ids);
    v_product   products;
    v_now       timestamptz;
    v_refusal   text;
    v_wanted    bigint := 0;
    v_smallest  integer;
    v_available bigint;
    v_reclaimed bigint;
    v_lapsed    bigint := 0;   -- beyond v_available
    v_as_of     timestamptz;   -- when v_available was read
    v_taken     bigint := 0;
    v_left      integer[];  -- units that each customer may still take
    v_customer  integer;
    v_known     record;
begin
    is_rescheduled := false;

    -- The same key on two servers at once: the second waits here until the first has committed, then finds the key. A
    -- customer's requests on two servers: the second waits likewise, then counts what the first one took. What is
    -- counted is read in later statements, which see what was committed during the wait. The seed of a hash says what its
    -- text is: 0 the key of a payment event, 1 of a request, 2 a customer.
    if p_keys is not null or p_customers is not null then
        perform pg_advisory_xact_lock(hash)
        from (
            select hashtextextended(p_product_id || ' ' || key, 1) as hash from unnest(p_keys) key where key is not null
            union
            select hashtextextended(p_product_id || ' ' || customer, 2) from unnest(p_customers) customer
            order by 1) sorted;
    end if;

    select * into v_product from products p where p.id = p_product_id;
    if not found then
        return;
    end if;
    v_now := clock_timestamp();
    starts_at := v_product.starts_at;
    ends_at := v_product.ends_at;
    max_quantity_per_hold := v_product.max_quantity_per_hold;
    max_per_customer := v_product.max_per_customer;
    if v_now < starts_at then
        v_refusal := 'not_started';
        starts_in_us := extract(epoch from starts_at - v_now) * 1000000;
    elsif v_now >= ends_at then
        v_refusal := 'ended';
    end if;

    if p_keys is null and v_refusal is null and max_quantity_per_hold is null and max_per_customer is null then
        select sum(q), min(q) into v_wanted, v_smallest from unnest(p_quantities) q;
    else
        outcomes := array_fill(null::text, array[v_count]);
        if p_keys is not null then
            hold_ids := p_hold_ids;
            for v_known in
                select asked.n, k.reservation_id,
                       k.operation = 'reserve_hold' and h.quantity = p_quantities[asked.n]
                       and h.customer_id is not distinct from p_customers[p_customer_of[asked.n]] as is_same
                from unnest(p_keys) with ordinality as asked (key, n)
                cross join lateral (
                    select * from idempotency_keys k where k.product_id = p_product_id and k.key = asked.key offset 0) k
                cross join lateral (
                    select * from holds h where h.product_id = p_product_id and h.id = k.reservation_id offset 0) h
            loop
                outcomes[v_known.n] := case when v_known.is_same then 'replayed' else 'key_reused' end;
                hold_ids[v_known.n] := v_known.reservation_id;
            end loop;
            if 'replayed' = any (outcomes) then
                perform confirm_durably();
            end if;
        end if;
        for i in 1 .. v_count loop
            continue when outcomes[i] is not null;
            outcomes[i] := case
                when p_quantities[i] > max_quantity_per_hold then 'too_many'
                when max_per_customer is not null and p_customer_of[i] is null then 'customer_missing'
                else v_refusal
            end;
            if outcomes[i] is null then
                v_wanted := v_wanted + p_quantities[i];
                v_smallest := least(v_smallest, p_quantities[i]);
            end if;
        end loop;
        if v_wanted = 0 then
            return next;
            return;
        end if;
        if max_per_customer is not null then
            -- A lapsed hold of theirs may be on its way into an order that was placed in time and is not committed yet.
            -- That is only waited for. The locks are undone: below all lapsed holds are locked, from the oldest on, and to
            -- have some in the middle already would make a circle with whoever does the same.
            begin
                perform from holds h
                where h.product_id = p_product_id and h.customer_id = any (p_customers)
                  and h.status = 'active' and h.expires_at <= v_now
                order by h.expires_at, h.id
                for update;
                if found then
                    raise exception using errcode = 'FS001', message = 'undone';
                end if;
            exception
                when sqlstate 'FS001' then null;
            end;
            v_left := array(
                select max_per_customer - coalesce(sum(h.quantity), 0)
                from unnest(p_customers) with ordinality as c (customer_id, n)
                left join holds h
                    on h.product_id = p_product_id and h.customer_id = c.customer_id
                    and h.status in ('active', 'ordered')
                    and (h.status = 'ordered' or h.expires_at > v_now)
                    and (h.status = 'active' or exists (
                        select from orders o
                        where o.product_id = p_product_id and o.id = h.id and o.status in ('pending_payment', 'paid')))
                group by c.n
                order by c.n);
        end if;
    end if;

    -- The common case: there is enough for all. Two servers may both read so; the condition of the update at the end,
    -- which is evaluated on the newest version of the row once it is locked, is what keeps the stock from being sold
    -- twice.
    v_available := v_product.available_stock;
    if v_available < v_wanted then
        -- Sold out is the answer that most buyers get: say so without a lock or a write, once not even the smallest
        -- request would fit with all lapsed holds counted.
        v_as_of := clock_timestamp();
        select p.available_stock + lapsed_units(p.id, v_as_of) into v_available from products p where p.id = p_product_id;
        if v_smallest <= v_available then
            -- Little is left. Reclaim lapsed holds, at least as many units as are wanted if there are so many, and lock
            -- the stock.
            select e.units into v_reclaimed from expire_holds(p_product_id, v_wanted) e;
            held_until := date_trunc('milliseconds', clock_timestamp() + p_ttl_us * interval '1 microsecond');
            is_rescheduled := schedule_job('expire_holds', p_product_id, held_until);
            select s.available, s.lapsed, s.as_of into v_available, v_lapsed, v_as_of
            from lock_stock(p_product_id, v_reclaimed, v_wanted) s;
        end if;
    end if;

    if outcomes is null and v_available >= v_wanted then
        outcomes := array_fill('held'::text, array[v_count]);
        v_taken := v_wanted;
    else
        -- Grant in order of arrival what fits; a request that is too large does not stand in the way of a smaller one
        -- behind it.
        outcomes := coalesce(outcomes, array_fill(null::text, array[v_count]));
        for i in 1 .. v_count loop
            continue when outcomes[i] is not null;
            v_customer := p_customer_of[i];
            if p_quantities[i] > v_left[v_customer] then
                outcomes[i] := 'customer_limit';
            elsif p_quantities[i] > v_available - v_taken then
                outcomes[i] := 'too_few';
            else
                outcomes[i] := 'held';
                v_taken := v_taken + p_quantities[i];
                if v_left is not null then
                    v_left[v_customer] := v_left[v_customer] - p_quantities[i];
                end if;
            end if;
        end loop;
    end if;

    if v_taken > 0 then
        held_until := coalesce(
            held_until, date_trunc('milliseconds', v_now + p_ttl_us * interval '1 microsecond'));
        insert into holds (product_id, id, quantity, expires_at, customer_id)
        select p_product_id, asked.id, asked.quantity, held_until, p_customers[asked.customer]
        from unnest(p_hold_ids, p_quantities, outcomes, p_customer_of) as asked (id, quantity, outcome, customer)
        where asked.outcome = 'held';
        if p_keys is not null then
            insert into idempotency_keys (product_id, key, operation, reservation_id, created_at)
            select p_product_id, asked.key, 'reserve_hold', asked.id, v_now
            from unnest(p_keys, p_hold_ids, outcomes) as asked (key, id, outcome)
            where asked.key is not null and asked.outcome = 'held';
        end if;
        if v_reclaimed is null then
            is_rescheduled := schedule_job('expire_holds', p_product_id, held_until);
        end if;
        update products p
        set available_stock = p.available_stock - v_taken
        where p.id = p_product_id and p.available_stock >= v_taken;
        if not found then
            -- Another server was faster between the read and the update. To reclaim lapsed holds now would take locks
            -- that come before those that this transaction has by now: undo all of it. The next attempt reads that
            -- little is left.
            raise exception 'product % was sold to others', p_product_id using errcode = 'serialization_failure';
        end if;
    end if;

    if 'too_few' = any (outcomes) then
        available_stock := v_available - v_taken + v_lapsed;
        if v_lapsed > 0 and exists (
            select from unnest(p_quantities, outcomes) as asked (quantity, outcome)
            where asked.outcome = 'too_few' and asked.quantity <= available_stock) then
            -- The units are there, and somebody is giving them back just now: the next attempt waits for that.
            raise exception 'lapsed units of product % are locked', p_product_id using errcode = 'serialization_failure';
        end if;
        select a.held, a.next_release_at into held_stock, next_release_at
        from held_stock(p_product_id, v_as_of) a;
        next_release_in_us := extract(epoch from next_release_at - v_as_of) * 1000000;
    end if;
    return next;
end
$$;
