-- Adds product.sold_out when no unit is available, held or unpaid. The caller has checked that the type is wanted. It has paid
-- an order or cut the stock in this transaction, so the product was not sold out before.
--
-- Two servers may pay the last two orders at the same moment:
--
--     A: pays the one, finds the other unpaid
--     B: pays the other, finds the one unpaid; nobody adds the event
--
-- So both lock the product first, and look in a later statement. The second one sees the order of the first.
create or replace function add_sold_out_event(p_product_id integer)
returns void
language plpgsql
set enable_seqscan = off
as $$
begin
    perform from products p where p.id = p_product_id for no key update;
    update products p
    set version = p.version + 1
    from ordered_stock s
    where p.id = p_product_id and s.product_id = p.id and p.available_stock = 0 and p.total_stock = s.units
      and not exists (select from orders o where o.product_id = p.id and o.status = 'pending_payment');
    if found then
        perform add_product_event(p_product_id, 'product.sold_out');
    end if;
end
$$;
