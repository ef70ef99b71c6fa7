-- Adds an event of this type for each of these orders or holds. The caller has checked that the type is wanted, and has changed
-- the objects in this transaction. p_versions has the version of each: of an order the raised one, of a hold 1 when it is
-- placed, and 2 when it ends.
--
-- What the events tell is made later, in dispatch_events.
create or replace function add_event_batch(
    p_product_id integer, p_type text, p_object_ids uuid[], p_versions integer[])
returns void
language plpgsql
as $$
begin
    insert into event_batches (product_id, type, created_at, versions, object_ids)
    values (p_product_id, p_type, clock_timestamp(), p_versions, p_object_ids);
end
$$;
