-- A page of deliveries, newest first. p_endpoint_id, p_status and the event (p_product_id, p_event_id) narrow the list unless
-- they are null. The page begins after the delivery of p_before_event to p_before_endpoint, made at p_before. The first page
-- has null for them.
create or replace function list_deliveries(
    p_endpoint_id uuid, p_status text, p_product_id integer, p_event_id uuid,
    p_before timestamptz, p_before_event uuid, p_before_endpoint uuid, p_limit integer)
returns table (
    event_id uuid, type text, object_id text, endpoint_id uuid, status text, attempts integer, next_at timestamptz,
    is_leased boolean, created_at timestamptz, last_attempt_at timestamptz, status_code integer, error text)
language plpgsql stable
security definer set search_path = pg_catalog, flashsale, pg_temp
set enable_seqscan = off set enable_bitmapscan = off set max_parallel_workers_per_gather = 0
set plan_cache_mode = force_custom_plan
as $$
begin
    if (p_limit between 1 and 1000 and (p_event_id is null) = (p_product_id is null)
        and (p_before is null) = (p_before_event is null)
        and (p_before is null) = (p_before_endpoint is null)) is not true
    then
        perform refuse_arguments();
    end if;
    return query
    select d.event_id, e.type, e.object_id, d.endpoint_id, d.status::text, d.attempts,
           case when d.status = 'pending' then d.next_at end,
           d.status = 'pending' and d.lease_id is not null and d.next_at > clock_timestamp(),
           d.created_at, d.last_attempt_at, d.status_code, d.error
    from deliveries d
    join events e on e.product_id = d.product_id and e.id = d.event_id
    where (p_endpoint_id is null or d.endpoint_id = p_endpoint_id)
      and (p_status is null or d.status = p_status)
      and (p_event_id is null or (d.product_id = p_product_id and d.event_id = p_event_id))
      and (p_before is null or (d.created_at, d.event_id, d.endpoint_id) < (p_before, p_before_event, p_before_endpoint))
    order by d.created_at desc, d.event_id desc, d.endpoint_id desc
    limit p_limit;
end
$$;
