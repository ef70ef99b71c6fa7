-- The newest p_limit holds of a product that meet the conditions, among its newest p_examined holds with ids from p_first to just
-- below p_before. A condition that is null is met.
create or replace function newest_holds(
    p_product_id integer, p_status text, p_customer_id text, p_now timestamptz, p_first uuid, p_before uuid,
    p_examined bigint, p_limit bigint)
returns table (id uuid)
language sql stable
as $$
    select h.id
    from (
        select * from holds h
        where h.product_id = p_product_id and h.id >= p_first and h.id < p_before
        order by h.id desc
        limit p_examined) h
    where (p_status is null or hold_status(h.status, h.expires_at, p_now) = p_status)
      and (p_customer_id is null or h.customer_id = p_customer_id)
    order by h.id desc
    limit p_limit
$$;
