-- Endpoints without their secrets, the oldest first. With p_id only that one.
create or replace function list_endpoints(p_id uuid default null)
returns table (
    id uuid, url text, event_types text[], description text, status text, disabled_reason text, created_at timestamptz,
    failures integer, failing_since timestamptz)
language sql stable
security definer set search_path = pg_catalog, flashsale, pg_temp
as $$
    select w.id, w.url::text, w.event_types, w.description::text, w.status::text, w.disabled_reason::text, w.created_at,
           w.failures, w.failing_since
    from webhook_endpoints w
    where p_id is null or w.id = p_id
    order by w.created_at, w.id
$$;
