-- The ids of a product's orders that an index finds: those of a customer, or the unpaid ones. With both conditions, those of the
-- customer. Without any, none.
create or replace function candidate_orders(p_product_id integer, p_status text, p_customer_id text)
returns table (id uuid)
language sql stable
as $$
    select h.id
    from holds h
    where p_customer_id is not null
      and h.product_id = p_product_id and h.customer_id = p_customer_id and h.status in ('active', 'ordered')
    union all
    select o.id
    from orders o
    -- The last condition holds for every order. It makes the index of unpaid orders look cheapest.
    where p_customer_id is null and p_status = 'pending_payment'
      and o.product_id = p_product_id and o.status = 'pending_payment' and o.payment_due_at > '-infinity'
$$;
