-- Units of a product in holds that had not lapsed at p_at, and when the first units come back by themselves. That is
-- the earliest end of such a hold or of an unpaid order's time, null when there is neither.
--
-- It is stable: it reads the snapshot of the calling statement, which reads the clock, too.
create or replace function held_stock(p_product_id integer, p_at timestamptz)
returns table (held integer, next_release_at timestamptz)
language plpgsql stable
set enable_seqscan = off
as $$
begin
    return query
    select (p.total_stock - p.available_stock - o.units - lapsed_units(p.id, p_at))::integer,
           least(
               (select min(h.expires_at)
                from holds h
                where h.product_id = p.id and h.status = 'active' and h.expires_at > p_at),
               (select min(u.payment_due_at)
                from orders u
                where u.product_id = p.id and u.status = 'pending_payment'))
    from products p
    join ordered_stock o on o.product_id = p.id
    where p.id = p_product_id;
end
$$;
