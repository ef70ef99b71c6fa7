-- The types of events that an endpoint or the feed wants of a product, as bits: see event_bit. 0 for an unknown product.
create or replace function wanted_events(p_product_id integer)
returns integer
language plpgsql stable
set enable_seqscan = off
as $$
begin
    return coalesce((select p.wanted_events from products p where p.id = p_product_id), 0);
end
$$;
