-- Adds a product, all of whose stock is available. With p_id it does nothing when there is any product: `demo` and `--seed`
-- use it. Without p_id the next free id is used.
--
-- p_key is the idempotency key of the call, null for none: see find_admin_key. The outcome is 'created'; 'replayed' with
-- the product that the same call created before; or 'key_reused' for another call.
--
-- p_who and p_request_id go into the log: see record_admin_change.
create or replace function create_product(
    p_id integer, p_name text, p_price integer, p_currency text, p_stock integer,
    p_starts_at timestamptz, p_ends_at timestamptz, p_max_quantity_per_hold integer, p_max_per_customer integer,
    p_key text default null, p_who text default null, p_request_id text default null)
returns table (outcome text, id integer)
language plpgsql
security definer set search_path = pg_catalog, flashsale, pg_temp
as $$
declare
    -- Times are numbers here, since their text depends on settings of the session.
    v_request constant jsonb := jsonb_build_array(
        p_name, p_price, p_currency, p_stock, extract(epoch from p_starts_at), extract(epoch from p_ends_at),
        p_max_quantity_per_hold, p_max_per_customer);
    v_known   record;
    v_id      integer;
    v_product products;
begin
    v_known := find_admin_key(0, p_key, v_request);
    if v_known.outcome <> 'new' then
        outcome := v_known.outcome;
        id := v_known.product_id;
        return next;
        return;
    end if;
    -- An endpoint that is being changed either sees this product, or is seen here. The lock comes before that on the table: who
    -- changes an endpoint has it, and then wants rows of the table.
    perform pg_advisory_xact_lock_shared(subscription_lock());
    if p_id is not null then
        lock table products in share row exclusive mode;  -- two servers that seed at the same time make one product
        if exists (select from products) then
            return;
        end if;
        perform setval(pg_get_serial_sequence('products', 'id'), p_id);
    end if;
    v_id := coalesce(p_id, nextval(pg_get_serial_sequence('products', 'id')));
    insert into products (
        id, name, price, currency, total_stock, available_stock,
        starts_at, ends_at, max_quantity_per_hold, max_per_customer, wanted_events)
    values (
        v_id, p_name, p_price, p_currency, p_stock, p_stock,
        p_starts_at, p_ends_at, p_max_quantity_per_hold, p_max_per_customer, subscribed_events())
    returning * into v_product;
    insert into ordered_stock (product_id, units) values (v_id, 0);
    -- The job exists when payment events came before the product.
    insert into scheduled_jobs (product_id, kind, run_at)
    values (v_id, 'remove_old', clock_timestamp() + interval '10 seconds')
    on conflict on constraint scheduled_jobs_pkey do nothing;
    if p_key is not null then
        insert into admin_idempotency_keys (scope, key, product_id, request, created_at)
        values (0, p_key, v_id, v_request, clock_timestamp());
    end if;
    perform record_admin_change(
        p_who, p_request_id, 'product.created', v_id, null,
        product_settings(v_product) || jsonb_build_object('total_stock', v_product.total_stock));
    outcome := 'created';
    id := v_id;
    return next;
end
$$;
