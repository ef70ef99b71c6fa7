-- Decides payment events, in their order: returns for each its verdict and the order's status, and changes the orders.
-- Events whose order is null are passed over. Refunds and disputes are parked; decide_refunds decides them afterwards. Lock
-- order: docs/architecture.md.
--
-- It first locks and reads everything, then decides without a statement, then writes once. Each change of an order depends
-- on the status before it, read under the lock. So stock is restored once, in whatever order payments, failures and expiry
-- come.
--
-- The caller has locked the customers p_customers, and has waited for orders placed from their lapsed holds: see
-- await_orders_of_customers. The time of that wait is p_as_of. For each event p_customer_of has the position of its
-- customer. It is 0 for a hold without a customer, and null for a customer who is not locked. All three are null when no
-- customer is locked.
--
-- p_wanted has the events that are wanted of the product. The events of the orders are added here. The caller adds those of the
-- verdicts when it has stored them: see add_verdict_events.
create or replace function decide_payment_events(
    p_product_id integer, p_order_ids uuid[], p_statuses text[], p_amounts bigint[], p_currencies text[],
    p_customers text[] default null, p_customer_of integer[] default null, p_as_of timestamptz default null,
    p_wanted integer default 0,
    out verdicts text[], out order_statuses text[])
language plpgsql
as $$
declare
    v_missing    uuid[] := p_order_ids;  -- for each event its order, null once that is locked
    v_order      record;
    -- For each event the position of its order in the arrays that follow, null without an order.
    v_order_of   integer[] := array_fill(null::integer, array[cardinality(p_order_ids)]);
    v_count      integer := 0;
    v_ids        uuid[];
    v_tids       tid[];
    v_quantities integer[];
    v_amounts    bigint[];
    v_currencies text[];
    v_before     text[];  -- the orders' statuses
    v_after      text[];
    v_at         integer;
    v_units      bigint;
    v_reclaimed  bigint;
    v_available  bigint;
    v_lapsed     bigint;  -- more units, in lapsed holds that are locked
    v_limit      integer;  -- max_per_customer
    v_customer   integer;
    v_left       integer[];  -- units that each customer may still take
    -- Units that each customer's orders returned in this call, minus the units that they took again.
    v_returned   integer[] := array_fill(0, array[coalesce(cardinality(p_customers), 0)]);
    v_given_back bigint := 0;
    v_paid       tid[];
    v_cancelled  tid[];
begin
    -- Another transaction may place the order at this moment:
    --
    --     placing: looks for parked events of the order, finds none
    --     this:    looks for the order, finds none, parks the event, commits
    --     placing: commits; the event is never applied
    --
    -- Both lock the hold's row first, so the second one sees the rows of the first. Orders that are missing are looked
    -- for again with their holds locked. Missing means not locked. A second look for all orders could find one that was
    -- placed since and is not locked.
    for attempt in 1 .. 2 loop
        -- The lock returns the order as it is after a wait.
        for v_order in
            select sorted.n, locked.*
            from (
                select asked.n, o.id
                from unnest(v_missing) with ordinality as asked (id, n)
                cross join lateral (
                    select * from orders o where o.product_id = p_product_id and o.id = asked.id offset 0) o
                order by o.payment_due_at, o.id) sorted
            cross join lateral (
                select o.ctid as tid, o.id, o.quantity, o.amount, o.currency, o.status
                from orders o
                where o.product_id = p_product_id and o.id = sorted.id
                for update) locked
        loop
            if v_order.id is distinct from v_ids[v_count] then  -- several events of an order come in a row
                v_count := v_count + 1;
                v_ids[v_count] := v_order.id;
                v_tids[v_count] := v_order.tid;
                v_quantities[v_count] := v_order.quantity;
                v_amounts[v_count] := v_order.amount;
                v_currencies[v_count] := v_order.currency;
                v_before[v_count] := v_order.status;
            end if;
            v_order_of[v_order.n] := v_count;
            v_missing[v_order.n] := null;
        end loop;
        exit when attempt = 2 or cardinality(array_remove(v_missing, null)) = 0;

        perform lock_holds(p_product_id, v_missing);
    end loop;

    v_after := v_before;
    verdicts := array_fill(null::text, array[cardinality(p_order_ids)]);
    order_statuses := verdicts;
    for i in 1 .. cardinality(p_order_ids) loop
        continue when p_order_ids[i] is null;
        v_at := v_order_of[i];
        if p_statuses[i] not in ('success', 'failed') then
            if p_statuses[i] = 'attempt_failed' then
                verdicts[i] := 'attempt_failed';  -- the buyer may try again
            else
                verdicts[i] := 'parked';
                continue;
            end if;

        elsif v_at is null then
            verdicts[i] := 'parked';

        elsif p_amounts[i] <> v_amounts[v_at] or p_currencies[i] <> v_currencies[v_at] then
            verdicts[i] := 'amount_mismatch';

        elsif p_statuses[i] = 'failed' then
            if v_after[v_at] = 'pending_payment' then
                v_after[v_at] := 'cancelled';
                v_given_back := v_given_back + v_quantities[v_at];
                if p_customer_of[i] > 0 then
                    v_returned[p_customer_of[i]] := v_returned[p_customer_of[i]] + v_quantities[v_at];
                end if;
                verdicts[i] := 'applied';
            else
                verdicts[i] := 'ignored';
            end if;

        elsif v_after[v_at] in ('paid', 'refunded') then
            verdicts[i] := 'refund_due';  -- paid twice

        elsif v_after[v_at] = 'pending_payment' then
            v_after[v_at] := 'paid';
            verdicts[i] := 'applied';

        else
            -- The order is cancelled or expired, and its units went back on sale. It becomes paid only if units can be
            -- taken again.
            if v_available is null then
                -- Lapsed holds count as available, so reclaim as many units as may be wanted. An order that an event before
                -- this one cancelled brings its own units, so none are reclaimed for it.
                select coalesce(sum(v_quantities[e.at]), 0) into v_units
                from unnest(v_order_of, p_statuses) as e (at, status)
                where e.status = 'success' and v_before[e.at] in ('cancelled', 'expired');
                select p.available_stock into v_available from products p where p.id = p_product_id;
                select e.units into v_reclaimed from expire_holds(p_product_id, v_units, v_units - v_available) e;
                perform from ordered_stock s where s.product_id = p_product_id for update;
                select s.available, s.lapsed into v_available, v_lapsed
                from lock_and_reclaim_stock(p_product_id, v_reclaimed, v_units) s;
                -- The row is locked, so the limit cannot change from here on.
                select p.max_per_customer into v_limit from products p where p.id = p_product_id;
                select c.units_left into v_left
                from customers_left(p_product_id, p_customers, v_limit, p_as_of, true) c;
            end if;

            -- An order that was live when the transaction began kept its units for the customer. No other transaction saw
            -- them as free. So place_orders, which decides parked events, locks no customer.
            v_customer := p_customer_of[i];
            if v_limit is not null and v_customer is null and v_before[v_at] <> 'pending_payment' then
                -- The limit was set, or the order was placed or ended, after the caller looked. The next attempt locks the
                -- customer.
                raise exception 'a customer of product % is not locked', p_product_id
                using errcode = 'serialization_failure';
            end if;
            if v_left[v_customer] + v_returned[v_customer] < v_quantities[v_at] then
                verdicts[i] := 'refund_due';
            elsif v_available + v_given_back >= v_quantities[v_at] then
                v_after[v_at] := 'paid';
                v_given_back := v_given_back - v_quantities[v_at];
                if v_customer > 0 then
                    v_returned[v_customer] := v_returned[v_customer] - v_quantities[v_at];
                end if;
                verdicts[i] := 'reacquired';
            elsif v_available + v_given_back + v_lapsed >= v_quantities[v_at] then
                perform raise_lapsed_units_locked(p_product_id);
            else
                verdicts[i] := 'refund_due';
            end if;
        end if;
        order_statuses[i] := v_after[v_at];
    end loop;

    for i in 1 .. v_count loop
        continue when v_after[i] = v_before[i];
        if v_after[i] = 'paid' then
            v_paid := v_paid || v_tids[i];
        else
            v_cancelled := v_cancelled || v_tids[i];
        end if;
    end loop;
    if v_paid is not null then
        perform set_status_of_orders(p_product_id, v_paid, 'paid', clock_timestamp(), p_wanted);
    end if;
    if v_cancelled is not null then
        perform set_status_of_orders(p_product_id, v_cancelled, 'cancelled', null, p_wanted);
    end if;
    if v_given_back <> 0 then
        update ordered_stock s set units = s.units - v_given_back where s.product_id = p_product_id;
        update products p set available_stock = p.available_stock + v_given_back where p.id = p_product_id;
    end if;
    if v_paid is not null and p_wanted & event_bit('product.sold_out') <> 0 then
        perform add_sold_out_event(p_product_id);
    end if;
end
$$;
