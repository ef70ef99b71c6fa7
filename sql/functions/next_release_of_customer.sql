-- When the first unit that a customer has at p_at comes back by itself. That is the earliest end of an active hold or
-- of an unpaid order's time, null when there is neither.
create or replace function next_release_of_customer(p_product_id integer, p_customer text, p_at timestamptz)
returns table (released_at timestamptz)
language sql stable
as $$
    select min(case when h.status = 'active' then h.expires_at else o.payment_due_at end)
    from (
        select * from holds h
        where h.product_id = p_product_id and h.customer_id = p_customer and h.status in ('active', 'ordered')
        offset 0) h
    left join lateral (
        select * from orders o where o.product_id = p_product_id and o.id = h.id offset 0
    ) o on h.status = 'ordered' and o.status = 'pending_payment'
    where h.status = 'ordered' or h.expires_at > p_at
$$;
