-- How many units each of these customers may still take of a product with this limit: negative for a customer who has more
-- since the limit was lowered, null when there is no limit. What they have are active holds that had not lapsed at p_as_of,
-- and live orders. The caller has locked the customers: see await_orders_of_customers.
create or replace function customer_allowances(
    p_product_id integer, p_customers text[], p_limit integer, p_as_of timestamptz)
returns integer[]
language plpgsql stable
-- Plans are made while tables are small, and kept.
set enable_seqscan = off
as $$
begin
    return array(
        select p_limit - coalesce(sum(h.quantity), 0)
        from unnest(p_customers) with ordinality as c (customer_id, n)
        -- The fence (offset 0) has each customer's holds found by the customer, instead of all of the product.
        left join lateral (
            select h.quantity
            from holds h
            where h.product_id = p_product_id and h.customer_id = c.customer_id
              and h.status in ('active', 'ordered')
              and (h.status = 'ordered' or h.expires_at > p_as_of)
              and (h.status = 'active' or exists (
                  select from orders o
                  where o.product_id = p_product_id and o.id = h.id and o.status in ('pending_payment', 'paid')))
            offset 0) h on true
        group by c.n
        order by c.n);
end
$$;
