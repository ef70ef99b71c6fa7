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
-- p_keys has the idempotency keys, null for requests without one; a key comes at most once for each customer. p_customers
-- has the customers, each once, and p_customer_of for each request the position of its customer there. All three are null
-- when no request has any.
--
-- Returns one row, none for an unknown product:
--   outcomes        for each request, in their order: held, replayed or key_reused (for its key),
--                   insufficient_stock, quantity_above_limit, customer_required, customer_limit_reached,
--                   sale_not_started, sale_ended; or later,
--                   when nothing was done yet: it depends on lapsed holds that another session has locked
--   held_until      when the new holds expire
--   is_rescheduled  whether a worker has to be woken
--   hold_ids        p_hold_ids, but where a request was replayed, the hold it made the first time; null without keys
--   and what a buyer who was refused can do next, as of the decision. limit_ends_at_us and limit_ends_in_us say for each
--   request at the customer's limit when the first unit of that customer will come back, in microseconds since 1970 and
--   from now on; 0 when that is not known. Both are null when there is no such request.
create or replace function reserve_holds(
    p_product_id integer, p_hold_ids uuid[], p_quantities integer[], p_ttl_us bigint,
    p_keys text[], p_customers text[], p_customer_of integer[])
returns table (
    outcomes text[], held_until timestamptz, is_rescheduled boolean, hold_ids uuid[],
    available_stock integer, held_stock integer, next_release_at timestamptz, next_release_in_us bigint,
    starts_at timestamptz, starts_in_us bigint, ends_at timestamptz,
    max_quantity_per_hold integer, max_per_customer integer,
    limit_ends_at_us bigint[], limit_ends_in_us bigint[])
language plpgsql
security definer set search_path = pg_catalog, flashsale, pg_temp
set enable_seqscan = off
as $$
declare
    -- The longest wait for a lapsed hold that another session has locked. Those who come meanwhile wait, too, and perhaps for
    -- nothing: some of them may want less than what is not locked.
    c_patience_ms constant integer := 100;
    v_count     constant integer := cardinality(p_hold_ids);
    v_product   products;
    v_now       timestamptz;
    v_refusal   text;
    v_wanted    bigint := 0;
    v_smallest  integer;
    v_free      bigint;        -- available without lapsed holds
    v_available bigint;
    v_reclaimed bigint;
    v_as_of     timestamptz;   -- when v_available was read
    v_taken_at  timestamptz;   -- with the product's row locked
    v_taken     bigint := 0;
    v_all_held  boolean;
    v_left      integer[];  -- units that each customer may still take
    v_unsure    integer[];  -- how many of them may be on their way into an order; null when none are
    v_customer  integer;
    v_known     record;
begin
    -- In two statements, since most calls have neither keys nor customers, and to get an expression ready takes longer than
    -- to evaluate it.
    if (v_count > 0 and array_dims(p_hold_ids) = '[1:' || v_count || ']' and array_position(p_hold_ids, null) is null
        and array_dims(p_quantities) = array_dims(p_hold_ids) and 0 < all (p_quantities)
        and is_time_to_live(p_ttl_us)) is not true
    then
        perform refuse_arguments();
    end if;
    if p_keys is not null or p_customers is not null or p_customer_of is not null then
        if ((p_keys is null or is_list(p_keys, v_count))
            and (p_customers is null and p_customer_of is null
                 or is_list(p_customers, cardinality(p_customers)) and array_position(p_customers, null) is null
                 and is_list(p_customer_of, v_count)
                 and (1 > any (p_customer_of) or cardinality(p_customers) < any (p_customer_of)) is not true)) is not true
        then
            perform refuse_arguments();
        end if;
    end if;
    is_rescheduled := false;

    -- The same key on two servers at once: the second waits here until the first has committed, then finds the key. A
    -- customer's requests on two servers: the second waits likewise, then counts what the first one took. What is
    -- counted is read in later statements, which see what was committed during the wait.
    if p_keys is not null or p_customers is not null then
        perform pg_advisory_xact_lock(sorted.lock)
        from (
            select key_lock(p_product_id, key) as lock from unnest(p_keys) key where key is not null
            union
            select customer_lock(p_product_id, customer) from unnest(p_customers) customer
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
        v_refusal := 'sale_not_started';
        starts_in_us := extract(epoch from starts_at - v_now) * 1000000;
    elsif v_now >= ends_at then
        v_refusal := 'sale_ended';
    end if;

    if p_keys is null and v_refusal is null and max_quantity_per_hold is null and max_per_customer is null then
        select sum(q), min(q) into v_wanted, v_smallest from unnest(p_quantities) q;
    else
        outcomes := array_fill(null::text, array[v_count]);
        if p_keys is not null then
            hold_ids := p_hold_ids;
            for v_known in
                select asked.n, k.hold_id,
                       k.operation = 'reserve_hold' and h.quantity = p_quantities[asked.n] as is_same
                from unnest(p_keys) with ordinality as asked (key, n)
                cross join lateral (
                    select * from idempotency_keys k
                    where k.product_id = p_product_id and k.key = asked.key
                      and k.customer_id = coalesce(p_customers[p_customer_of[asked.n]], '')
                    offset 0) k
                cross join lateral (
                    select * from holds h where h.product_id = p_product_id and h.id = k.hold_id offset 0) h
            loop
                outcomes[v_known.n] := case when v_known.is_same then 'replayed' else 'key_reused' end;
                hold_ids[v_known.n] := v_known.hold_id;
            end loop;
            if 'replayed' = any (outcomes) then
                perform confirm_durably();
            end if;
        end if;
        for i in 1 .. v_count loop
            continue when outcomes[i] is not null;
            outcomes[i] := case
                when p_quantities[i] > max_quantity_per_hold then 'quantity_above_limit'
                when max_per_customer is not null and p_customer_of[i] is null then 'customer_required'
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
            if cardinality(p_customers) > (select count(distinct customer) from unnest(p_customers) customer) then
                perform refuse_arguments();
            end if;
            select c.units_left, c.unsure into v_left, v_unsure
            from customers_left(p_product_id, p_customers, max_per_customer, v_now, false) c;
            -- When it decides every request, what is on its way into an order is waited for. Otherwise some are decided now,
            -- and the others have another batch.
            if v_unsure is not null and not exists (
                select from unnest(p_quantities, p_customer_of, outcomes) as asked (quantity, customer, outcome)
                where asked.outcome is null
                  and (asked.quantity <= v_left[asked.customer] - v_unsure[asked.customer]
                       or asked.quantity > v_left[asked.customer])) then
                perform await_orders_of_customers(p_product_id, p_customers, v_now, c_patience_ms);
                select c.units_left, c.unsure into v_left, v_unsure
                from customers_left(p_product_id, p_customers, max_per_customer, v_now, false) c;
            end if;
        end if;
    end if;

    -- The common case: there is enough for all. Two servers may both read so; the condition of the update at the end,
    -- which is evaluated on the newest version of the row once it is locked, is what keeps the stock from being sold
    -- twice.
    v_available := v_product.available_stock;
    if v_available < v_wanted then
        -- Sold out is the answer that most buyers get: say so without a lock or a write, once not even the smallest
        -- request would fit with all lapsed holds counted. One statement, so that all of it was so at one moment: see
        -- read_products.
        with clock as materialized (select clock_timestamp() as now)
        select clock.now, p.available_stock, p.available_stock + lapsed_units(p.id, clock.now), h.held, h.next_release_at
        into v_as_of, v_free, v_available, held_stock, next_release_at
        from clock
        cross join products p
        cross join lateral held_stock(p.id, clock.now) h
        where p.id = p_product_id;
        if v_smallest <= v_available then
            -- Little is left. Reclaim lapsed holds, at least as many units as are wanted if there are so many, and lock
            -- the stock. Those that are locked are waited for only when nobody gets anything without them.
            select e.units into v_reclaimed
            from expire_holds(p_product_id, v_wanted, v_smallest - v_free, c_patience_ms) e;
            held_until := date_trunc('milliseconds', clock_timestamp() + p_ttl_us * interval '1 microsecond');
            is_rescheduled := schedule_job('expire_holds', p_product_id, held_until);
            select s.available, s.as_of into v_available, v_now
            from lock_and_reclaim_stock(p_product_id, v_reclaimed, v_wanted) s;
            held_until := date_trunc('milliseconds', v_now + p_ttl_us * interval '1 microsecond');
        end if;
    end if;

    v_all_held := outcomes is null and v_available >= v_wanted;
    if v_all_held then
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
                outcomes[i] := 'customer_limit_reached';
            elsif p_quantities[i] > v_left[v_customer] - v_unsure[v_customer] then
                outcomes[i] := 'later';
            elsif p_quantities[i] > v_available - v_taken then
                outcomes[i] := 'insufficient_stock';
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
            insert into idempotency_keys (product_id, key, customer_id, operation, hold_id, created_at)
            select p_product_id, asked.key, coalesce(p_customers[asked.customer], ''), 'reserve_hold', asked.id, v_now
            from unnest(p_keys, p_hold_ids, outcomes, p_customer_of) as asked (key, id, outcome, customer)
            where asked.key is not null and asked.outcome = 'held';
        end if;
        if v_reclaimed is null then
            is_rescheduled := schedule_job('expire_holds', p_product_id, held_until);
        end if;
        -- Whatever was read of the product before this statement may have changed while it waited for the row, and time has
        -- passed:
        --
        --     buyer:    reads that the sale goes on and that a hold may have three units
        --     operator: locks the row, and commits that it may have one
        --     buyer:    gets the row's lock a second later, when the sale is over and the new hold's time, too
        --
        -- When the row was changed, the conditions are evaluated again on its newest version. The clock is read last.
        update products p
        set available_stock = p.available_stock - v_taken
        where p.id = p_product_id and p.available_stock >= v_taken
          and (p.starts_at, p.ends_at, p.max_quantity_per_hold, p.max_per_customer) is not distinct from
              (v_product.starts_at, v_product.ends_at, v_product.max_quantity_per_hold, v_product.max_per_customer)
        returning clock_timestamp() into v_taken_at;
        if not found then
            -- Another server was faster between the read and the update. To reclaim lapsed holds now would take locks
            -- that come before those that this transaction has by now: undo all of it. The next attempt reads that
            -- little is left, or by what rules it is sold now.
            raise exception 'product % was sold to others or changed', p_product_id using errcode = 'serialization_failure';
        elsif v_taken_at >= ends_at then
            raise exception 'the sale of product % ended', p_product_id using errcode = 'serialization_failure';
        elsif v_taken_at > least(v_now + clock_tolerance(p_ttl_us), held_until) then
            -- The holds begin now. Nobody else has seen them yet, and the row is had, so another attempt would not be
            -- faster. The job comes too early for them, which does no harm.
            held_until := date_trunc('milliseconds', v_taken_at + p_ttl_us * interval '1 microsecond');
            for i in 1 .. v_count loop
                if outcomes[i] = 'held' then
                    update holds h set expires_at = held_until where h.product_id = p_product_id and h.id = p_hold_ids[i];
                end if;
            end loop;
        end if;
    end if;
    if v_all_held then
        return next;
        return;
    end if;

    if 'insufficient_stock' = any (outcomes) then
        available_stock := v_available;
        if v_reclaimed is not null then
            -- With the row locked, so that the stock is still as it was decided on. More holds may have lapsed since.
            with clock as materialized (select clock_timestamp() as now)
            select clock.now, p.available_stock + lapsed_units(p.id, clock.now), h.held, h.next_release_at
            into v_as_of, available_stock, held_stock, next_release_at
            from clock
            cross join products p
            cross join lateral held_stock(p.id, clock.now) h
            where p.id = p_product_id;
        end if;
        if next_release_at is not null then
            next_release_in_us := greatest(0, extract(epoch from next_release_at - v_as_of) * 1000000);
        end if;
        -- The units are there: in holds that lapsed just now, or that somebody has locked, perhaps to give them back.
        for i in 1 .. v_count loop
            if outcomes[i] = 'insufficient_stock' and p_quantities[i] <= available_stock then
                outcomes[i] := 'later';
            end if;
        end loop;
    end if;

    if 'customer_limit_reached' = any (outcomes) then
        -- More than the limit is never granted, whatever comes back.
        with clock as materialized (select clock_timestamp() as now)
        select array_agg(coalesce(extract(epoch from own.ends_at) * 1000000, 0)::bigint order by asked.n),
               array_agg(greatest(0, extract(epoch from own.ends_at - clock.now) * 1000000)::bigint order by asked.n)
        into limit_ends_at_us, limit_ends_in_us
        from clock
        cross join unnest(outcomes, p_quantities, p_customer_of) with ordinality as asked (outcome, quantity, customer, n)
        left join lateral (
            select min(case when h.status = 'active' then h.expires_at else o.payment_due_at end) as ends_at
            from (
                select * from holds h
                where h.product_id = p_product_id and h.customer_id = p_customers[asked.customer]
                  and h.status in ('active', 'ordered')
                offset 0) h
            left join lateral (
                select * from orders o where o.product_id = p_product_id and o.id = h.id offset 0
            ) o on h.status = 'ordered' and o.status = 'pending_payment'
            where h.status = 'ordered' or h.expires_at > clock.now
        ) own on asked.outcome = 'customer_limit_reached' and asked.quantity <= max_per_customer;
    end if;
    return next;
end
$$;
