-- The id of an endpoint that was deleted, and that still has pending deliveries: a server stopped before it had removed them all.
-- Null when there is none.
--
-- Reads one delivery of each endpoint, through deliveries_due.
create or replace function deleted_endpoint()
returns uuid
language plpgsql stable
set enable_seqscan = off
as $$
declare
    v_id uuid;
begin
    select d.endpoint_id into v_id from deliveries d where d.status = 'pending' order by d.endpoint_id, d.next_at limit 1;
    while exists (select from webhook_endpoints w where w.id = v_id) loop
        select d.endpoint_id into v_id
        from deliveries d
        where d.status = 'pending' and d.endpoint_id > v_id
        order by d.endpoint_id, d.next_at
        limit 1;
    end loop;
    return v_id;
end
$$;
