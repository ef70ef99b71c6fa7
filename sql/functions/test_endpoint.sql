-- Makes an event endpoint.test that is delivered to this endpoint only. It is not in the feed, and belongs to no product. No
-- row for an unknown endpoint.
create or replace function test_endpoint(p_id uuid)
returns table (event_id uuid)
language plpgsql
security definer set search_path = pg_catalog, flashsale, pg_temp
set enable_seqscan = off
as $$
declare
    v_object  text := 'we_' || replace(p_id::text, '-', '');
    v_version integer;
    v_now     timestamptz;
begin
    -- Two tests at once get versions of their own. An endpoint that is being deleted gets no delivery.
    perform from webhook_endpoints w where w.id = p_id for no key update;
    if not found then
        return;
    end if;
    select count(*) + 1 into v_version
    from deliveries d
    join events e on e.product_id = d.product_id and e.id = d.event_id
    where d.product_id = 0 and d.endpoint_id = p_id;
    v_now := clock_timestamp();
    event_id := event_id(0, 'endpoint.test', v_object || ' ' || extract(epoch from v_now), v_version);
    insert into events (product_id, id, type, object_id, version, created_at, data)
    values (
        0, event_id, 'endpoint.test', v_object, v_version, v_now,
        jsonb_build_object('endpoint_id', v_object, 'version', v_version));
    insert into deliveries (product_id, event_id, endpoint_id, next_at, created_at)
    values (0, event_id, p_id, v_now, v_now);
    return next;
end
$$;
