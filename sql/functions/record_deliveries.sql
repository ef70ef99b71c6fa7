-- Records the results of deliveries that a server leased with p_lease_id, and decides what follows. A result counts only while
-- its lease stands:
--
--     A: leases a delivery, and is suspended
--     B: leases it after A's lease has ended, and delivers it
--     A: goes on, and records that it failed; the delivery would be repeated
--
-- A status code of 2xx is success. The code is null without a response. p_retry_afters_us says how long the endpoint wants no
-- further attempt, null when it does not say.
--
-- The endpoints are locked first, in the order of their ids, then the deliveries. Claims and changes of endpoints skip locked
-- rows or come before.
create or replace function record_deliveries(
    p_lease_id uuid, p_product_ids integer[], p_event_ids uuid[], p_endpoint_ids uuid[], p_status_codes integer[],
    p_errors text[], p_retry_afters_us bigint[])
returns void
language plpgsql
security definer set search_path = pg_catalog, flashsale, pg_temp
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
declare
    -- The pause after each failed attempt. After one more attempt the delivery has failed.
    c_pauses constant interval[] := array[
        '5 seconds', '30 seconds', '2 minutes', '10 minutes', '30 minutes', '1 hour', '3 hours', '6 hours', '12 hours',
        '24 hours', '24 hours'];
    c_latest_retry  constant interval := interval '24 hours';
    c_most_failures constant integer := 5;  -- as in claim_deliveries
    -- The pause before the next probe is as long as the endpoint has failed so far, within these limits. Many deliveries fail at
    -- once, so the number of failures does not tell how long.
    c_first_probe   constant interval := interval '5 seconds';
    c_last_probe    constant interval := interval '5 minutes';
    c_patience      constant interval := interval '3 days';
    v_count constant integer := cardinality(p_event_ids);
    v_now    timestamptz;
    v_result record;
    v_reason text;
begin
    if (p_lease_id is not null and v_count between 1 and 10000
        and is_list(p_product_ids, v_count) and is_list(p_event_ids, v_count) and is_list(p_endpoint_ids, v_count)
        and is_list(p_status_codes, v_count) and is_list(p_errors, v_count) and is_list(p_retry_afters_us, v_count)) is not true
    then
        perform refuse_arguments();
    end if;
    if 410 = any (p_status_codes) then
        -- An endpoint that is gone wants no events any more.
        perform pg_advisory_xact_lock(subscription_lock());
    end if;
    perform from webhook_endpoints w where w.id = any (p_endpoint_ids) order by w.id for no key update;
    v_now := clock_timestamp();

    for v_result in
        with results as (
            select r.*, coalesce(r.status_code between 200 and 299, false) as is_success
            from unnest(p_product_ids, p_event_ids, p_endpoint_ids, p_status_codes, p_errors, p_retry_afters_us)
                with ordinality as r (product_id, event_id, endpoint_id, status_code, error, retry_after_us, n)
        ), counted as (
            update deliveries d
            set status          = case
                    when r.is_success then 'delivered'
                    when d.attempts > cardinality(c_pauses) then 'failed'
                    else 'pending' end,
                next_at         = v_now + greatest(
                    c_pauses[least(d.attempts, cardinality(c_pauses))] * (0.8 + 0.4 * random()),
                    case when r.retry_after_us > 0 then
                        least(r.retry_after_us * interval '1 microsecond', c_latest_retry) end),
                lease_id        = null,
                last_attempt_at = v_now,
                status_code     = r.status_code,
                error           = left(r.error, 500)
            from results r
            where d.product_id = r.product_id and d.event_id = r.event_id and d.endpoint_id = r.endpoint_id
              and d.lease_id = p_lease_id and d.status = 'pending'
            returning d.endpoint_id, r.n, r.is_success, r.status_code
        )
        select c.endpoint_id, bool_or(c.is_success) as is_alive, bool_or(c.status_code = 410) as is_gone,
               count(*) filter (where c.n > last.success) as failures
        from counted c
        cross join lateral (
            select coalesce(max(s.n) filter (where s.is_success), 0) as success
            from counted s
            where s.endpoint_id = c.endpoint_id) last
        group by c.endpoint_id
        order by c.endpoint_id
    loop
        update webhook_endpoints w
        set failures      = new.failures,
            failing_since = case when new.failures > 0 then new.failing_since end,
            probe_at      = case when new.failures >= c_most_failures then
                v_now + least(c_last_probe, greatest(c_first_probe, v_now - new.failing_since)) end
        from (
            select w.id,
                   case when v_result.is_alive then 0 else w.failures end + v_result.failures as failures,
                   case when v_result.is_alive then v_now else coalesce(w.failing_since, v_now) end as failing_since
            from webhook_endpoints w
            where w.id = v_result.endpoint_id) new
        where w.id = new.id;

        select case when v_result.is_gone then 'gone' when w.failing_since <= v_now - c_patience then 'failing' end
        into v_reason
        from webhook_endpoints w
        where w.id = v_result.endpoint_id and w.status = 'enabled';
        if v_reason is not null then
            update webhook_endpoints w set status = 'disabled', disabled_reason = v_reason where w.id = v_result.endpoint_id;
            -- No key has a name with a space.
            perform record_admin_change(
                'event webhooks', null, 'webhook_endpoint.disabled', null, null,
                jsonb_build_object('id', 'we_' || replace(v_result.endpoint_id::text, '-', ''), 'reason', v_reason));
            if v_reason = 'gone' then
                perform spread_wanted_events();
            end if;
        end if;
    end loop;
end
$$;
