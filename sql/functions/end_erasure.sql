-- Ends the erasure of a customer when all its steps are done, and removes the last trace of the customer's id. Returns the
-- pseudonym and how many rows were replaced, no row when another command has ended the erasure.
--
-- The log of operators' changes has the pseudonym, not the id. p_who and p_request_id go into it: see record_admin_change.
create or replace function end_erasure(p_customer_id text, p_who text default null, p_request_id text default null)
returns table (pseudonym text, holds bigint, orders bigint, idempotency_keys bigint, events bigint)
language plpgsql
security definer set search_path = pg_catalog, flashsale, pg_temp
set enable_seqscan = off
as $$
begin
    perform refuse_server_roles();
    delete from customer_erasures e
    where e.customer_id = p_customer_id
    returning e.pseudonym::text, e.holds, e.orders, e.idempotency_keys, e.events
    into pseudonym, holds, orders, idempotency_keys, events;
    if not found then
        return;
    end if;
    perform record_admin_change(
        p_who, p_request_id, 'customer.erased', null, null,
        jsonb_build_object(
            'pseudonym', pseudonym, 'holds', holds, 'orders', orders, 'idempotency_keys', idempotency_keys,
            'events', events));
    return next;
end
$$;
