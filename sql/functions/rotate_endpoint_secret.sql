-- Gives an endpoint a new secret. Both sign for 24 hours, so that the receiver can change its own meanwhile. The caller makes
-- the secret, so it can call again after a lost answer. Returns whether the endpoint exists.
--
-- p_who and p_request_id go into the log: see record_admin_change.
create or replace function rotate_endpoint_secret(
    p_id uuid, p_secret text, p_who text default null, p_request_id text default null)
returns table (is_done boolean)
language plpgsql
security definer set search_path = pg_catalog, flashsale, pg_temp
as $$
begin
    if p_secret is null then
        perform refuse_arguments();
    end if;
    update webhook_endpoints w
    set secret                = p_secret,
        previous_secret       = w.secret,
        previous_secret_until = clock_timestamp() + interval '24 hours'
    where w.id = p_id and w.secret <> p_secret;
    if found then
        perform record_admin_change(
            p_who, p_request_id, 'webhook_endpoint.secret_rotated', null, null,
            jsonb_build_object('id', 'we_' || replace(p_id::text, '-', '')));
    end if;
    is_done := exists (select from webhook_endpoints w where w.id = p_id);
    return next;
end
$$;
