-- Removes pending deliveries of an endpoint that was deleted, up to p_limit. Locked ones are left. Returns how many were removed.
--
-- An endpoint may be created again under its id, when an answer was lost:
--
--     this:    finds no endpoint
--     server:  creates it, and dispatches an event to it
--     this:    removes the delivery; the endpoint misses the event
--
-- So the endpoint and the deliveries are read in one statement. A delivery that it sees was dispatched after the endpoint was
-- created, so it sees the endpoint, too.
create or replace function remove_deliveries(p_endpoint_id uuid, p_limit integer)
returns table (removed integer)
language plpgsql
security definer set search_path = pg_catalog, flashsale, pg_temp
set enable_seqscan = off
as $$
declare
    v_old record;
begin
    if (p_limit between 1 and 10000) is not true then
        perform refuse_arguments();
    end if;
    removed := 0;
    for v_old in
        select d.product_id, d.event_id
        from deliveries d
        where d.endpoint_id = p_endpoint_id and d.status = 'pending'
          and not exists (select from webhook_endpoints w where w.id = p_endpoint_id)
        order by d.next_at
        limit p_limit
        for update of d skip locked
    loop
        delete from deliveries d
        where d.product_id = v_old.product_id and d.event_id = v_old.event_id and d.endpoint_id = p_endpoint_id;
        removed := removed + 1;
    end loop;
    return next;
end
$$;
