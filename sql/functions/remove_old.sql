-- Removes what has been kept for long enough, up to p_limit rows of each kind: idempotency keys, holds that lapsed or
-- were released, and payment events whose order never came. Returns how many rows there were and when to look again.
--
-- A hold stays as long as a key leads to it, however short its own period is. Rows that others have locked are left for
-- the next time.
create or replace function remove_old(
    p_product_id integer, p_limit integer, p_key_ttl_us bigint, p_hold_retention_us bigint, p_parked_ttl_us bigint)
returns table (removed integer, next_at timestamptz)
language plpgsql
-- Plans are made while tables are small, and kept.
set enable_seqscan = off
as $$
declare
    c_soonest constant interval := interval '1 second';
    c_latest  constant interval := interval '1 hour';
    v_now     timestamptz := clock_timestamp();
    v_key_ttl interval := p_key_ttl_us * interval '1 microsecond';
    v_hold_retention interval := greatest(p_hold_retention_us, p_key_ttl_us) * interval '1 microsecond';
    v_parked_ttl interval := p_parked_ttl_us * interval '1 microsecond';
    v_keys   integer := 0;
    v_holds  integer := 0;
    v_events integer := 0;
    v_old    record;
begin
    for v_old in
        select old.key, old.customer_id
        from idempotency_keys old
        where old.product_id = p_product_id and old.created_at <= v_now - v_key_ttl
        order by old.created_at
        limit p_limit
        for update skip locked
    loop
        delete from idempotency_keys k
        where k.product_id = p_product_id and k.key = v_old.key and k.customer_id = v_old.customer_id;
        v_keys := v_keys + 1;
    end loop;

    for v_old in
        select old.id
        from holds old
        where old.product_id = p_product_id and old.status in ('released', 'expired')
          and old.expires_at <= v_now - v_hold_retention
          and not exists (
              select from idempotency_keys k
              where k.product_id = p_product_id and k.reservation_id = old.id
              offset 0)
        order by old.expires_at
        limit p_limit
        for update skip locked
    loop
        delete from holds h where h.product_id = p_product_id and h.id = v_old.id;
        v_holds := v_holds + 1;
    end loop;

    for v_old in
        select old.idempotency_key
        from payment_events old
        where old.product_id = p_product_id and old.verdict = 'parked' and old.received_at <= v_now - v_parked_ttl
        limit p_limit
        for update skip locked
    loop
        delete from payment_events e
        where e.idempotency_key = v_old.idempotency_key and e.product_id = p_product_id;
        v_events := v_events + 1;
    end loop;

    removed := v_keys + v_holds + v_events;
    if p_limit in (v_keys, v_holds, v_events) then
        next_at := v_now;
    else
        next_at := greatest(v_now + c_soonest, least(
            v_now + c_latest,
            (select min(created_at) from idempotency_keys where product_id = p_product_id) + v_key_ttl,
            (select min(expires_at) from holds
             where product_id = p_product_id and status in ('released', 'expired')) + v_hold_retention,
            (select min(received_at) from payment_events
             where product_id = p_product_id and verdict = 'parked') + v_parked_ttl,
            -- What is made from now on is due at the earliest after the shortest of the periods.
            v_now + least(v_key_ttl, v_hold_retention, v_parked_ttl)));
    end if;
    return next;
end
$$;
