-- The active holds of these customers that had lapsed at p_at, in the order in which holds are locked.
create or replace function lapsed_holds_of_customers(p_product_id integer, p_customers text[], p_at timestamptz)
returns table (id uuid)
language sql stable
as $$
    select h.id
    from unnest(p_customers) as c (customer_id)
    -- The fence (offset 0) makes the planner find each customer's holds by the customer.
    cross join lateral (
        select * from holds h
        where h.product_id = p_product_id and h.customer_id = c.customer_id and h.status in ('active', 'ordered')
        offset 0) h
    where h.status = 'active' and h.expires_at <= p_at
    order by h.expires_at, h.id
$$;
