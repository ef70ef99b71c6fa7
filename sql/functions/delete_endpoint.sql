-- Deletes an endpoint, so that no more deliveries are made for it. remove_deliveries then removes the pending ones in steps. The
-- others stay as long as their events. Returns whether there was an endpoint. The same call after a lost answer returns false.
--
-- p_who and p_request_id go into the log: see record_admin_change.
create or replace function delete_endpoint(p_id uuid, p_who text default null, p_request_id text default null)
returns table (is_done boolean)
language plpgsql
security definer set search_path = pg_catalog, flashsale, pg_temp
set enable_seqscan = off
as $$
declare
    v_endpoint webhook_endpoints;
begin
    -- A server that dispatches events shares this lock, so remove_deliveries sees all that it inserted.
    perform pg_advisory_xact_lock(subscription_lock());
    delete from webhook_endpoints w where w.id = p_id returning * into v_endpoint;
    is_done := found;
    if is_done then
        perform spread_wanted_events();
        perform record_admin_change(
            p_who, p_request_id, 'webhook_endpoint.deleted', null, endpoint_settings(v_endpoint), null);
    end if;
    return next;
end
$$;
