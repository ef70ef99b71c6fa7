-- Notes that the money of a payment event was given back outside. Returns the event. Only money that was due sets
-- settled_at: a refund_due, a success of the wrong amount, or a parked success. The last becomes refund_due. A second call
-- changes nothing. No row for an unknown key.
--
-- The order of a parked success may be placed at the same moment. place_orders locks the event's row, too, and the second
-- of the two reads the verdict again. So the event is either applied or settled. A refund by the provider may settle the event at
-- the same moment, too. Both take the lock on its key. A parked refund of the event does not wait any longer: see decide_refunds.
--
-- p_who and p_request_id go into the log: see record_admin_change.
create or replace function settle_refund(
    p_idempotency_key text, p_who text default null, p_request_id text default null)
returns table (
    idempotency_key text, order_id uuid, status text, amount bigint, currency text,
    verdict text, order_status text, received_at timestamptz, settled_at timestamptz, payment_key text)
language plpgsql
security definer set search_path = pg_catalog, flashsale, pg_temp
as $$
declare
    v_event   record;
    v_settled record;
begin
    perform pg_advisory_xact_lock(event_lock(p_idempotency_key));
    for v_event in
        select e.product_id, e.verdict
        from payment_events e
        where e.idempotency_key = p_idempotency_key and e.settled_at is null
          and (e.verdict = 'refund_due' or (e.verdict in ('amount_mismatch', 'parked') and e.status = 'success'))
        order by e.product_id
        for update
    loop
        update payment_events e
        set settled_at = clock_timestamp(),
            verdict    = case e.verdict when 'parked' then 'refund_due' else e.verdict end
        where e.idempotency_key = p_idempotency_key and e.product_id = v_event.product_id
        returning e.verdict, e.settled_at into v_settled;
        if v_event.verdict = 'parked' then
            perform decide_refunds(v_event.product_id, array[p_idempotency_key]);
        end if;
        perform record_admin_change(
            p_who, p_request_id, 'payment_event.settled', v_event.product_id,
            jsonb_build_object(
                'idempotency_key', p_idempotency_key, 'verdict', v_event.verdict, 'settled_at', null),
            jsonb_build_object(
                'idempotency_key', p_idempotency_key, 'verdict', v_settled.verdict,
                'settled_at', rfc3339(v_settled.settled_at)));
    end loop;
    if not found then
        perform confirm_durably();
    end if;
    return query
    select e.idempotency_key::text, e.order_id, e.status::text, e.amount, e.currency,
           e.verdict::text, e.order_status, e.received_at, e.settled_at, e.payment_key
    from payment_events e
    where e.idempotency_key = p_idempotency_key;
end
$$;
