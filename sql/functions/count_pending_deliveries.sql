-- How many deliveries are pending for an endpoint.
create or replace function count_pending_deliveries(p_endpoint_id uuid)
returns table (pending bigint)
language plpgsql stable
security definer set search_path = pg_catalog, flashsale, pg_temp
set enable_seqscan = off
as $$
begin
    return query select count(*) from deliveries d where d.endpoint_id = p_endpoint_id and d.status = 'pending';
end
$$;
