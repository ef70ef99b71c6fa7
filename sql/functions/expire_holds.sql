-- Expires up to p_limit lapsed holds of a product, the oldest first. Returns how many there were and their units. The
-- caller adds the units to available_stock in the same transaction, after its other locks. Lock order:
-- docs/architecture.md.
--
-- Only the change from active yields units, so each hold yields them once. A worker and a buyer may come here at the same
-- time. The second one reads the status again under the lock, and passes over holds that are no longer active.
--
-- Holds that another session has locked are passed over as long as the others have p_least units together. A locked
-- hold must not delay a buyer that does not need its units. Otherwise they are waited for, each for p_patience_ms at
-- most, and then the holds that are free are expired. With p_patience_ms null the session's lock_timeout applies. With
-- p_least null nothing is waited for.
--
-- A session never waits for an older hold while it has a newer one locked. That could deadlock with a session that
-- locks them in order:
--
--     A: locks the newer hold, while B has the older one
--     B: wants the newer one, too, and waits for A
--     A: needs more, and waits for the older one
--
-- So the locks that were free are undone before the wait.
create or replace function expire_holds(
    p_product_id integer, p_limit bigint, p_least bigint, p_patience_ms integer default null)
returns table (expired integer, units integer)
language plpgsql
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
declare
    v_now     constant timestamptz := clock_timestamp();
    v_timeout constant text := current_setting('lock_timeout');
    v_tids    tid[];
    v_wanted  integer;
begin
    begin
        select array_agg(h.tid), coalesce(sum(h.quantity), 0),
               (select p.wanted_events from products p where p.id = p_product_id)
        into v_tids, units, v_wanted
        from (
            select h.ctid as tid, h.quantity
            from holds h
            where h.product_id = p_product_id and h.status = 'active' and h.expires_at <= v_now
            order by h.expires_at, h.id
            limit p_limit
            for update skip locked) h;
        if units < p_least and lapsed_units(p_product_id, v_now) > units then
            raise exception using errcode = 'FS001', message = 'undone';
        end if;
    exception
        when sqlstate 'FS001' then
            begin
                perform set_config('lock_timeout', coalesce(p_patience_ms::text, v_timeout), true);
                select array_agg(h.tid), coalesce(sum(h.quantity), 0) into v_tids, units
                from (
                    select h.ctid as tid, h.quantity
                    from holds h
                    where h.product_id = p_product_id and h.status = 'active' and h.expires_at <= v_now
                    order by h.expires_at, h.id
                    limit p_limit
                    for update) h;
                perform set_config('lock_timeout', v_timeout, true);
            exception
                when lock_not_available then
                    if p_patience_ms is null then
                        raise;
                    end if;
                    select e.expired, e.units into expired, units from expire_holds(p_product_id, p_limit, null) e;
                    return next;
                    return;
            end;
    end;
    expired := 0;
    if v_tids is not null then
        expired := set_status_of_holds(p_product_id, v_tids, 'expired', v_wanted);
    end if;
    return next;
end
$$;
