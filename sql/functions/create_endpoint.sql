-- Creates an endpoint. The caller makes its id and its secret, so it can call again after a lost answer: the outcome is
-- 'created' both times. It is 'too_many' when there are as many endpoints as there can be.
--
-- Events of transactions that began before are not sent to it. p_who and p_request_id go into the log: see
-- record_admin_change.
create or replace function create_endpoint(
    p_id uuid, p_url text, p_event_types text[], p_description text, p_secret text,
    p_who text default null, p_request_id text default null)
returns table (outcome text, created_at timestamptz)
language plpgsql
security definer set search_path = pg_catalog, flashsale, pg_temp
as $$
declare
    -- Each claim of deliveries looks at all endpoints.
    c_most constant integer := 50;
    v_endpoint webhook_endpoints;
begin
    if (p_id is not null and p_url is not null and p_secret is not null
        and event_mask(p_event_types) > 0) is not true
    then
        perform refuse_arguments();
    end if;
    perform pg_advisory_xact_lock(subscription_lock());
    select w.created_at into created_at from webhook_endpoints w where w.id = p_id;
    if found then
        perform confirm_durably();
        outcome := 'created';
    elsif (select count(*) from webhook_endpoints) >= c_most then
        outcome := 'too_many';
    else
        insert into webhook_endpoints (id, url, event_types, wanted_events, description, secret, created_at)
        values (p_id, p_url, p_event_types, event_mask(p_event_types), p_description, p_secret, clock_timestamp())
        returning * into v_endpoint;
        perform spread_wanted_events();
        perform record_admin_change(
            p_who, p_request_id, 'webhook_endpoint.created', null, null, endpoint_settings(v_endpoint));
        outcome := 'created';
        created_at := v_endpoint.created_at;
    end if;
    return next;
end
$$;
