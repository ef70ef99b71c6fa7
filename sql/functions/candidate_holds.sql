-- The ids of a product's holds that an index finds: those of a customer, or those that may have this status. No index has the
-- ordered ones. With both conditions, those of the customer. Without any, none.
create or replace function candidate_holds(p_product_id integer, p_status text, p_customer_id text)
returns table (id uuid)
language sql stable
as $$
    select h.id
    from holds h
    where p_customer_id is not null
      and h.product_id = p_product_id and h.customer_id = p_customer_id and h.status in ('active', 'ordered')
    union all
    select h.id
    from holds h
    where p_customer_id is not null
      and h.product_id = p_product_id and h.customer_id = p_customer_id and h.status in ('released', 'expired')
    union all
    select h.id
    from holds h
    -- A lapsed hold is expired. The last condition holds for every hold. It makes the index of active holds look cheapest.
    where p_customer_id is null and p_status in ('active', 'expired')
      and h.product_id = p_product_id and h.status = 'active' and h.expires_at > '-infinity'
    union all
    select h.id
    from holds h
    where p_customer_id is null and p_status in ('released', 'expired')
      and h.product_id = p_product_id and h.status in ('released', 'expired') and h.expires_at > '-infinity'
$$;
