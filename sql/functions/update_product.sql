-- Sets the columns of a product that p_columns names to the values of the other parameters. Returns whether it did: not
-- when the sale would end before it starts. No row for an unknown product.
--
-- p_who and p_request_id go into the log, with the settings that changed: see record_admin_change. When none changed, the log
-- has no row.
create or replace function update_product(
    p_product_id integer, p_columns text[], p_name text, p_price integer,
    p_starts_at timestamptz, p_ends_at timestamptz, p_max_quantity_per_hold integer, p_max_per_customer integer,
    p_is_paused boolean, p_who text default null, p_request_id text default null)
returns table (is_done boolean)
language plpgsql
security definer set search_path = pg_catalog, flashsale, pg_temp
as $$
declare
    v_old        products;
    v_new        products;
    v_old_values jsonb;
    v_new_values jsonb;
    v_is_news    boolean := false;  -- whether a pause is an event
begin
    select * into v_old from products p where p.id = p_product_id for update;
    if not found then
        return;
    end if;
    v_new := v_old;
    if 'name' = any (p_columns) then v_new.name := p_name; end if;
    if 'price' = any (p_columns) then v_new.price := p_price; end if;
    if 'starts_at' = any (p_columns) then v_new.starts_at := p_starts_at; end if;
    if 'ends_at' = any (p_columns) then v_new.ends_at := p_ends_at; end if;
    if 'max_quantity_per_hold' = any (p_columns) then v_new.max_quantity_per_hold := p_max_quantity_per_hold; end if;
    if 'max_per_customer' = any (p_columns) then v_new.max_per_customer := p_max_per_customer; end if;
    if 'is_paused' = any (p_columns) then v_new.is_paused := p_is_paused; end if;
    is_done := coalesce(v_new.starts_at < v_new.ends_at, true);
    if is_done then
        v_is_news := v_new.is_paused and not v_old.is_paused and v_old.wanted_events & event_bit('product.paused') <> 0;
        update products p
        set name                  = v_new.name,
            price                 = v_new.price,
            starts_at             = v_new.starts_at,
            ends_at               = v_new.ends_at,
            max_quantity_per_hold = v_new.max_quantity_per_hold,
            max_per_customer      = v_new.max_per_customer,
            is_paused             = v_new.is_paused,
            version               = p.version + v_is_news::integer
        where p.id = p_product_id;
        select jsonb_object_agg(o.key, o.value), jsonb_object_agg(o.key, n.value)
        into v_old_values, v_new_values
        from jsonb_each(product_settings(v_old)) o
        join jsonb_each(product_settings(v_new)) n on n.key = o.key
        where n.value <> o.value;
        if v_old_values is not null then
            perform record_admin_change(
                p_who, p_request_id, 'product.updated', p_product_id, v_old_values, v_new_values);
        end if;
        if v_new.is_paused <> v_old.is_paused then
            perform record_admin_change(
                p_who, p_request_id, case when v_new.is_paused then 'product.paused' else 'product.resumed' end,
                p_product_id,
                jsonb_build_object('paused', v_old.is_paused), jsonb_build_object('paused', v_new.is_paused));
        end if;
        if v_is_news then
            perform add_product_event(p_product_id, 'product.paused');
        end if;
    end if;
    return next;
end
$$;
