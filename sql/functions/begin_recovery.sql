-- Begins to send to an endpoint what it missed since p_since, and enables it. recover_deliveries does the rest in steps. Returns
-- whether there is such an endpoint.
--
-- A call goes on with a recovery that is under way, for example after a crash. It begins anew after a pause, and for an
-- endpoint that was disabled meanwhile: what the recovery has read before may have failed again, or may lack new events. A later
-- p_since does not shorten a recovery, because another operator may have asked for it.
--
-- The endpoint is enabled first. A server that dispatches events shares the lock, so each event is found in one of two ways:
--
--     dispatched before: committed, so a step reads it
--     dispatched later:  the endpoint is enabled, so it gets a delivery as usual
--
-- p_who and p_request_id go into the log: see record_admin_change.
create or replace function begin_recovery(
    p_id uuid, p_since timestamptz, p_who text default null, p_request_id text default null)
returns table (is_known boolean)
language plpgsql
security definer set search_path = pg_catalog, flashsale, pg_temp
as $$
declare
    c_longest_pause constant interval := interval '10 minutes';
    v_now      timestamptz;
    v_endpoint webhook_endpoints;
begin
    if p_since is null then
        perform refuse_arguments();
    end if;
    perform pg_advisory_xact_lock(subscription_lock());
    select * into v_endpoint from webhook_endpoints w where w.id = p_id for no key update;
    is_known := found;
    v_now := clock_timestamp();
    if is_known
        and (v_endpoint.status = 'enabled' and v_endpoint.recovery_at > v_now - c_longest_pause
             and p_since >= v_endpoint.recovered_since) is not true
    then
        update webhook_endpoints w
        set recovered_since = p_since, recovery_transaction_id = -1, recovery_number = -1, recovery_at = v_now
        where w.id = p_id;
        perform from update_endpoint(p_id, null, null, null, 'enabled', p_who, p_request_id);
        perform record_admin_change(
            p_who, p_request_id, 'webhook_endpoint.recovered', null, null,
            jsonb_build_object('id', 'we_' || replace(p_id::text, '-', ''), 'since', rfc3339(p_since)));
    end if;
    return next;
end
$$;
