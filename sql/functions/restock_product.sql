-- Changes the total stock by p_delta. A cut takes only available units: units in holds and orders are committed. Lock
-- order: docs/architecture.md.
--
-- The outcome is 'done', 'insufficient_stock', or 'total_stock_too_large' for the column's type. No row for an unknown
-- product. The other columns tell a refused operator how many units are available and held.
--
-- p_key is the idempotency key of the call, null for none: see find_admin_key. For a used key the outcome is 'replayed'
-- when the call is the same, and nothing is changed again; else 'key_reused'.
--
-- p_who and p_request_id go into the log: see record_admin_change.
create or replace function restock_product(
    p_product_id integer, p_delta integer, p_key text default null,
    p_who text default null, p_request_id text default null)
returns table (
    outcome text,
    available_stock integer, held_stock integer, next_release_at timestamptz, next_release_in_us bigint)
language plpgsql
security definer set search_path = pg_catalog, flashsale, pg_temp
as $$
declare
    c_most      constant bigint := 2147483647;
    v_request   constant jsonb := to_jsonb(p_delta);
    v_reclaimed integer := 0;
    v_free      integer;  -- available without lapsed holds
    v_stock     record;
    v_total     bigint;
    v_wanted    integer;  -- events
    v_is_news   boolean;  -- whether the restock is an event
begin
    if (p_delta <> 0 and p_delta >= -c_most) is not true then
        perform refuse_arguments();
    end if;
    select k.outcome into outcome from find_admin_key(p_product_id, p_key, v_request) k;
    if outcome <> 'new' then
        return next;
        return;
    end if;
    if p_delta < 0 then
        -- Lapsed holds count as available, so a cut may take their units.
        select p.available_stock into v_free from products p where p.id = p_product_id;
        select e.units into v_reclaimed
        from expire_holds(p_product_id, -p_delta::bigint, -p_delta::bigint - v_free) e;
    end if;
    v_stock := lock_and_reclaim_stock(p_product_id, v_reclaimed, -p_delta::bigint);
    select p.total_stock, p.wanted_events into v_total, v_wanted from products p where p.id = p_product_id;
    if not found then
        return;
    end if;
    if v_stock.available + p_delta < 0 then
        outcome := 'insufficient_stock';
        select s.available, s.held, s.next_release_at,
               case when s.next_release_at is not null then
                   greatest(0, extract(epoch from s.next_release_at - s.as_of) * 1000000) end
        into available_stock, held_stock, next_release_at, next_release_in_us
        from stock_now(p_product_id) s;
        if available_stock + p_delta >= 0 then
            perform raise_lapsed_units_locked(p_product_id);
        end if;
    elsif v_total + p_delta > c_most then
        outcome := 'total_stock_too_large';
    else
        v_is_news := p_delta > 0 and v_wanted & event_bit('product.restocked') <> 0;
        update products p
        set total_stock     = p.total_stock + p_delta,
            available_stock = p.available_stock + p_delta,
            version         = p.version + v_is_news::integer
        where p.id = p_product_id;
        if v_is_news then
            perform add_product_event(p_product_id, 'product.restocked');
        elsif p_delta < 0 and v_wanted & event_bit('product.sold_out') <> 0 then
            perform add_sold_out_event(p_product_id);
        end if;
        if p_key is not null then
            insert into admin_idempotency_keys (scope, key, product_id, request, created_at)
            values (p_product_id, p_key, p_product_id, v_request, clock_timestamp());
        end if;
        perform record_admin_change(
            p_who, p_request_id, 'product.restocked', p_product_id,
            jsonb_build_object('total_stock', v_total), jsonb_build_object('total_stock', v_total + p_delta));
        outcome := 'done';
    end if;
    return next;
end
$$;
