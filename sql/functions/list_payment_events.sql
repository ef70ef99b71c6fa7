-- A page of payment events, newest first. p_verdict and p_order_id narrow the list unless they are null; p_product_id
-- is the order's. The page begins after the event with the time p_before and the key p_before_key. The first page has
-- null for both.
create or replace function list_payment_events(
    p_verdict text, p_product_id integer, p_order_id uuid, p_before timestamptz, p_before_key text, p_limit integer)
returns table (
    idempotency_key text, order_id uuid, status text, amount bigint, currency text,
    verdict text, order_status text, received_at timestamptz, settled_at timestamptz, payment_key text)
language plpgsql stable
security definer set search_path = pg_catalog, flashsale, pg_temp
as $$
begin
    if (p_limit between 1 and 1000 and (p_order_id is null) = (p_product_id is null)) is not true then
        perform refuse_arguments();
    end if;
    return query
    select e.idempotency_key::text, e.order_id, e.status::text, e.amount, e.currency,
           e.verdict::text, e.order_status, e.received_at, e.settled_at, e.payment_key
    from payment_events e
    where (p_verdict is null or e.verdict = p_verdict)
      and (p_order_id is null or (e.product_id = p_product_id and e.order_id = p_order_id))
      and (p_before is null or (e.received_at, e.idempotency_key) < (p_before, p_before_key))
    order by e.received_at desc, e.idempotency_key desc
    limit p_limit;
end
$$;
