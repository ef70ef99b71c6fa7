-- The newest p_limit orders of a product that meet the conditions, among its newest p_examined orders with ids from p_first to
-- just below p_before. A condition that is null is met.
--
-- Orders of a rare status have an index of their own. One of the two queries yields no row, and PostgreSQL knows which before it
-- runs them.
create or replace function newest_orders(
    p_product_id integer, p_status text, p_customer_id text, p_created_after timestamptz, p_first uuid, p_before uuid,
    p_examined bigint, p_limit bigint)
returns table (id uuid)
language sql stable
as $$
    (select o.id
     from (
         select * from orders o
         where coalesce(p_status, '') not in ('cancelled', 'expired', 'refunded')
           and o.product_id = p_product_id and o.id >= p_first and o.id < p_before
         order by o.id desc
         limit p_examined) o
     where (p_status is null or o.status = p_status)
       and (p_created_after is null or o.created_at > p_created_after)
       and (p_customer_id is null or p_customer_id = (
           select h.customer_id from holds h where h.product_id = o.product_id and h.id = o.id))
     order by o.id desc
     limit p_limit)
    union all
    (select o.id
     from (
         select * from orders o
         where p_status in ('cancelled', 'expired', 'refunded')
           and o.status in ('cancelled', 'expired', 'refunded') and o.status = p_status
           and o.product_id = p_product_id and o.id >= p_first and o.id < p_before
         order by o.id desc
         limit p_examined) o
     where (p_created_after is null or o.created_at > p_created_after)
       and (p_customer_id is null or p_customer_id = (
           select h.customer_id from holds h where h.product_id = o.product_id and h.id = o.id))
     order by o.id desc
     limit p_limit)
$$;
