-- Changes an endpoint, and returns it. A null leaves its setting as it is. An empty description removes it. Enabling an
-- endpoint forgets its failures, and its pending deliveries are due. No row for an unknown endpoint.
--
-- p_who and p_request_id go into the log, with the settings that changed: see record_admin_change.
create or replace function update_endpoint(
    p_id uuid, p_url text, p_event_types text[], p_description text, p_status text,
    p_who text default null, p_request_id text default null)
returns table (
    id uuid, url text, event_types text[], description text, status text, disabled_reason text, created_at timestamptz,
    failures integer, failing_since timestamptz)
language plpgsql
security definer set search_path = pg_catalog, flashsale, pg_temp
set enable_seqscan = off
as $$
declare
    v_old        webhook_endpoints;
    v_new        webhook_endpoints;
    v_old_values jsonb;
    v_new_values jsonb;
begin
    if p_event_types is not null and (event_mask(p_event_types) > 0) is not true then
        perform refuse_arguments();
    end if;
    perform pg_advisory_xact_lock(subscription_lock());
    select * into v_old from webhook_endpoints w where w.id = p_id for no key update;
    if not found then
        return;
    end if;
    update webhook_endpoints w
    set url             = coalesce(p_url, w.url),
        event_types     = coalesce(p_event_types, w.event_types),
        wanted_events   = coalesce(event_mask(p_event_types), w.wanted_events),
        description     = case when p_description is null then w.description else nullif(p_description, '') end,
        status          = coalesce(p_status, w.status),
        disabled_reason = case p_status
            when 'enabled' then null
            when 'disabled' then 'operator'
            else w.disabled_reason end,
        failures        = case when p_status = 'enabled' and v_old.status = 'disabled' then 0 else w.failures end,
        failing_since   = case when p_status = 'enabled' and v_old.status = 'disabled' then null else w.failing_since end,
        probe_at        = case when p_status = 'enabled' and v_old.status = 'disabled' then null else w.probe_at end
    where w.id = p_id
    returning * into v_new;
    if v_old.status = 'disabled' and v_new.status = 'enabled' then
        update deliveries d
        set next_at = clock_timestamp()
        where d.endpoint_id = p_id and d.status = 'pending' and d.lease_id is null and d.next_at > clock_timestamp();
    end if;
    perform spread_wanted_events();
    select jsonb_object_agg(o.key, o.value), jsonb_object_agg(o.key, n.value)
    into v_old_values, v_new_values
    from jsonb_each(endpoint_settings(v_old)) o
    join jsonb_each(endpoint_settings(v_new)) n on n.key = o.key
    where n.value <> o.value or o.key = 'id';
    if v_old_values <> v_new_values then
        perform record_admin_change(p_who, p_request_id, 'webhook_endpoint.updated', null, v_old_values, v_new_values);
    end if;
    return query select * from list_endpoints(p_id);
end
$$;
