-- A page of a customer's holds of one product, at most p_limit, or a few more that lapse at the same moment. First come the
-- active and ordered ones, by id. No index leads from a customer to holds that were given back: retention removes them, and
-- each lapsed hold would pay for the index. So these pages read the product's next p_limit holds by the time of their end, and
-- find the customer's among them.
--
-- The first page has neither p_after nor p_after_id. next_after and next_id are the start of the next page. Both are null on
-- the last page. A hold that is given back meanwhile may be on two pages, but none is on no page.
create or replace function holds_of_customer(
    p_product_id integer, p_customer_id text, p_after timestamptz, p_after_id uuid, p_limit integer,
    out hold_ids uuid[], out next_after timestamptz, out next_id uuid)
language plpgsql
set enable_seqscan = off
as $$
begin
    if p_after is null then
        hold_ids := array(
            select h.id
            from (
                select * from holds h
                where h.product_id = p_product_id and h.customer_id = p_customer_id and h.status in ('active', 'ordered')
                offset 0) h
            where p_after_id is null or h.id > p_after_id
            order by h.id
            limit p_limit);
        if cardinality(hold_ids) = p_limit then
            next_id := hold_ids[p_limit];
        else
            next_after := to_timestamp(0);  -- before every hold
        end if;
    else
        select h.expires_at into next_after
        from holds h
        where h.product_id = p_product_id and h.status in ('released', 'expired') and h.expires_at > p_after
        order by h.expires_at
        offset p_limit - 1
        limit 1;
        hold_ids := array(
            select h.id
            from (
                select * from holds h
                where h.product_id = p_product_id and h.status in ('released', 'expired')
                  and h.expires_at > p_after and h.expires_at <= coalesce(next_after, 'infinity')
                offset 0) h
            where h.customer_id = p_customer_id);
    end if;
end
$$;
