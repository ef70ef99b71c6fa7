-- Reserves units of one product for several buyers at once: first come, first served.
--
-- Lock order: docs/architecture.md. The product's row comes last. Every buyer needs it, and it stays locked from its update
-- to the commit.
--
-- p_keys has the idempotency keys, null for requests without one. A key comes at most once for each customer. p_customers has
-- the customers, each once. p_customer_of has for each request the position of its customer there. All three are null when no
-- request has a key or a customer.
--
-- p_metadata has the metadata of the requests as JSON, null for requests without any. It is null when no request has any.
--
-- Returns one row, none for an unknown product:
--   outcomes        for each request, in their order: held, replayed, key_reused, insufficient_stock, quantity_above_limit,
--                   customer_required, customer_limit_reached, sale_not_started, sale_paused, sale_ended; or later, when nothing
--                   was done yet: the request depends on lapsed holds that another session has locked
--   held_until      when the new holds expire
--   is_rescheduled  whether a worker must be woken
--   hold_ids        p_hold_ids, but for a replayed request the hold that it made the first time; null without keys
-- The other columns tell refused buyers what to do next, as of the decision. For requests at the customer's limit,
-- limit_ends_at_us and limit_ends_in_us say when the first unit of that customer comes back: in microseconds since 1970, and
-- from now. 0 means unknown. Both are null when there is no such request.
create or replace function reserve_holds(
    p_product_id integer, p_hold_ids uuid[], p_quantities integer[], p_ttl_us bigint,
    p_keys text[], p_customers text[], p_customer_of integer[], p_metadata text[] default null)
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
    -- The longest wait for a lapsed hold that another session has locked. Buyers who arrive meanwhile wait, too, and some of
    -- them may want less than is free.
    c_patience_ms constant integer := 100;
    v_count     constant integer := cardinality(p_hold_ids);
    v_product   products;
    v_now       timestamptz;
    v_refusal   text;          -- of every request, by the sale's window
    v_wanted    bigint := 0;   -- units, of the requests that are not decided yet
    v_smallest  integer;       -- of these requests
    v_free      integer;       -- available without lapsed holds
    v_available bigint;
    v_reclaimed bigint;        -- units of lapsed holds; null when none were looked for
    v_as_of     timestamptz;   -- when v_available was read
    v_taken_at  timestamptz;   -- with the product's row locked
    v_taken     bigint := 0;
    v_all_held  boolean;
    v_left      integer[];     -- units that each customer may still take
    v_unsure    integer[];     -- how many of them may be on their way into an order; null when none are
    v_customer  integer;
    v_known     record;
begin
    -- Step 1: check the arguments. Most calls have neither keys nor customers nor metadata, and preparing an expression takes
    -- longer than evaluating it. So these have a check of their own.
    if (v_count > 0 and array_dims(p_hold_ids) = '[1:' || v_count || ']' and array_position(p_hold_ids, null) is null
        and array_dims(p_quantities) = array_dims(p_hold_ids) and 0 < all (p_quantities)
        and is_time_to_live(p_ttl_us)) is not true
    then
        perform refuse_arguments();
    end if;
    if p_keys is not null or p_customers is not null or p_customer_of is not null or p_metadata is not null then
        if ((p_keys is null or is_list(p_keys, v_count))
            and (p_customers is null and p_customer_of is null
                 or is_list(p_customers, cardinality(p_customers)) and array_position(p_customers, null) is null
                 and is_list(p_customer_of, v_count)
                 and (1 > any (p_customer_of) or cardinality(p_customers) < any (p_customer_of)) is not true)
            and (p_metadata is null or is_metadata_list(p_metadata, v_count))) is not true
        then
            perform refuse_arguments();
        end if;
    end if;
    is_rescheduled := false;

    -- Step 2: lock keys and customers. A second server with the same key waits here until the first has committed, then finds
    -- the key. A second server with the same customer waits likewise, then counts what the first took. Later statements read
    -- both, so they see what was committed during the wait.
    if p_keys is not null or p_customers is not null then
        perform pg_advisory_xact_lock(sorted.lock)
        from (
            select key_lock(p_product_id, key) as lock from unnest(p_keys) key where key is not null
            union
            select customer_lock(p_product_id, customer) from unnest(p_customers) customer
            order by 1) sorted;
    end if;

    -- Step 3: read the product and the clock.
    select * into v_product from products p where p.id = p_product_id;
    if not found then
        return;
    end if;
    v_now := clock_timestamp();
    starts_at := v_product.starts_at;
    ends_at := v_product.ends_at;
    max_quantity_per_hold := v_product.max_quantity_per_hold;
    max_per_customer := v_product.max_per_customer;
    if v_now >= ends_at then
        v_refusal := 'sale_ended';
    elsif v_product.is_paused then
        v_refusal := 'sale_paused';
    elsif v_now < starts_at then
        v_refusal := 'sale_not_started';
        starts_in_us := extract(epoch from starts_at - v_now) * 1000000;
    end if;

    if p_keys is null and v_refusal is null and max_quantity_per_hold is null and max_per_customer is null then
        select sum(q), min(q) into v_wanted, v_smallest from unnest(p_quantities) q;
    else
        -- Step 4: decide requests whose key was used before.
        outcomes := array_fill(null::text, array[v_count]);
        if p_keys is not null then
            hold_ids := p_hold_ids;
            for v_known in
                select asked.n, k.hold_id,
                       k.operation = 'reserve_hold' and h.quantity = p_quantities[asked.n]
                       and h.metadata is not distinct from p_metadata[asked.n]::jsonb as is_same
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

        -- Step 5: refuse requests that break the product's rules.
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

        -- Step 6: count the units that each customer may still take.
        if max_per_customer is not null then
            if cardinality(p_customers) > (select count(distinct customer) from unnest(p_customers) customer) then
                perform refuse_arguments();
            end if;
            select c.units_left, c.unsure into v_left, v_unsure
            from customers_left(p_product_id, p_customers, max_per_customer, v_now, false) c;
            -- Units on their way into an order are waited for only when every request depends on them. Otherwise some requests
            -- are decided now, and the others come in the next batch.
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

    -- Step 7: look for units. Usually there are enough for all. Two servers may both read so. The condition of the update in
    -- step 10 keeps them from selling a unit twice. PostgreSQL evaluates it on the newest version of the row, under its lock.
    v_available := v_product.available_stock;
    if v_available < v_wanted then
        -- Most buyers of a sale are refused. If not even the smallest request would fit with all lapsed holds counted,
        -- the call takes no lock and writes nothing.
        select s.as_of, s.unlapsed, s.available, s.held, s.next_release_at
        into v_as_of, v_free, v_available, held_stock, next_release_at
        from stock_now(p_product_id) s;
        if v_smallest <= v_available then
            -- Reclaim as many units of lapsed holds as are wanted, then lock the stock. expire_holds waits for locked
            -- holds only when no request can be granted without them.
            select e.units into v_reclaimed
            from expire_holds(p_product_id, v_wanted, v_smallest - v_free, c_patience_ms) e;
            held_until := time_after(clock_timestamp(), p_ttl_us);
            is_rescheduled := schedule_job('expire_holds', p_product_id, held_until);
            select s.available, s.as_of into v_available, v_now
            from lock_and_reclaim_stock(p_product_id, v_reclaimed, v_wanted) s;
            held_until := time_after(v_now, p_ttl_us);
        end if;
    end if;

    -- Step 8: grant the requests that fit, in the order of their arrival. A request that is too large does not delay a
    -- smaller one behind it.
    v_all_held := outcomes is null and v_available >= v_wanted;
    if v_all_held then
        outcomes := array_fill('held'::text, array[v_count]);
        v_taken := v_wanted;
    else
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
        -- Step 9: write the holds, their keys and their job.
        held_until := coalesce(held_until, time_after(v_now, p_ttl_us));
        insert into holds (product_id, id, quantity, expires_at, customer_id, metadata)
        select p_product_id, asked.id, asked.quantity, held_until, p_customers[asked.customer], p_metadata[asked.n]::jsonb
        from unnest(p_hold_ids, p_quantities, outcomes, p_customer_of)
            with ordinality as asked (id, quantity, outcome, customer, n)
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

        -- Step 10: take the units. The update may wait for the row. Meanwhile the product may change, and time passes:
        --
        --     buyer:    reads that the sale goes on and that a hold may have three units
        --     operator: locks the row, and commits that it may have one
        --     buyer:    gets the row's lock a second later, when the sale is over and the new hold's time, too
        --
        -- PostgreSQL evaluates the conditions on the newest version of the row. The clock is read last.
        update products p
        set available_stock = p.available_stock - v_taken
        where p.id = p_product_id and p.available_stock >= v_taken
          and (p.starts_at, p.ends_at, p.is_paused, p.max_quantity_per_hold, p.max_per_customer) is not distinct from
              (v_product.starts_at, v_product.ends_at, v_product.is_paused, v_product.max_quantity_per_hold,
               v_product.max_per_customer)
        returning clock_timestamp() into v_taken_at;
        if not found then
            -- Another server was faster. To reclaim lapsed holds now would break the lock order, so everything is undone. The
            -- next attempt reads how little is left, or the new rules.
            raise exception 'product % was sold to others or changed', p_product_id using errcode = 'serialization_failure';
        elsif v_taken_at >= ends_at then
            raise exception 'the sale of product % ended', p_product_id using errcode = 'serialization_failure';
        elsif v_taken_at > least(v_now + clock_tolerance(p_ttl_us), held_until) then
            -- The wait was long, so the holds begin now. No other session has seen them yet. Another attempt would not
            -- be faster, since the row is locked. The job runs too early for them, which does no harm.
            held_until := time_after(v_taken_at, p_ttl_us);
            for i in 1 .. v_count loop
                if outcomes[i] = 'held' then
                    update holds h set expires_at = held_until where h.product_id = p_product_id and h.id = p_hold_ids[i];
                end if;
            end loop;
        end if;
        if v_product.wanted_events & event_bit('hold.placed') <> 0 then
            perform add_event_batch(p_product_id, 'hold.placed', array_agg(asked.id), array_agg(1))
            from unnest(p_hold_ids, outcomes) as asked (id, outcome)
            where asked.outcome = 'held';
        end if;
    end if;
    if v_all_held then
        return next;
        return;
    end if;

    -- Step 11: add the remaining stock for requests that were refused for lack of stock.
    if 'insufficient_stock' = any (outcomes) then
        available_stock := v_available;
        if v_reclaimed is not null then
            -- The row is locked, so the stock is as it was decided on. More holds may have lapsed since.
            select s.as_of, s.available, s.held, s.next_release_at
            into v_as_of, available_stock, held_stock, next_release_at
            from stock_now(p_product_id) s;
        end if;
        if next_release_at is not null then
            next_release_in_us := greatest(0, extract(epoch from next_release_at - v_as_of) * 1000000);
        end if;
        -- Enough units are in holds that lapsed just now, or that another session has locked, perhaps to give them back.
        for i in 1 .. v_count loop
            if outcomes[i] = 'insufficient_stock' and p_quantities[i] <= available_stock then
                outcomes[i] := 'later';
            end if;
        end loop;
    end if;

    -- Step 12: add when the first unit comes back, for requests at their customer's limit. A request above the limit
    -- itself is never granted, whatever comes back.
    if 'customer_limit_reached' = any (outcomes) then
        with clock as materialized (select clock_timestamp() as now)
        select array_agg(coalesce(extract(epoch from own.released_at) * 1000000, 0)::bigint order by asked.n),
               array_agg(greatest(0, extract(epoch from own.released_at - clock.now) * 1000000)::bigint order by asked.n)
        into limit_ends_at_us, limit_ends_in_us
        from clock
        cross join unnest(outcomes, p_quantities, p_customer_of) with ordinality as asked (outcome, quantity, customer, n)
        left join lateral next_release_of_customer(p_product_id, p_customers[asked.customer], clock.now) own
            on asked.outcome = 'customer_limit_reached' and asked.quantity <= max_per_customer;
    end if;
    return next;
end
$$;
