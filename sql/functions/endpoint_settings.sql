-- The settings of an endpoint for the log of changes, with the names that clients see. The secret is not among them.
create or replace function endpoint_settings(p_endpoint webhook_endpoints)
returns jsonb
language sql stable
as $$
    select jsonb_build_object(
        'id', 'we_' || replace(p_endpoint.id::text, '-', ''), 'url', p_endpoint.url, 'events', p_endpoint.event_types,
        'description', p_endpoint.description, 'status', p_endpoint.status)
$$;
