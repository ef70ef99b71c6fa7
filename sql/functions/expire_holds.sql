-- Expires up to p_limit holds of a product whose time has run out, the oldest first. Returns how many there were and
-- their units, which the caller adds to available_stock in the same transaction, after its locks on rows.
--
-- A worker and a buyer who finds too little stock may both come here at once: for whoever is second the lock looks at the
-- status again and passes over what is no longer active. So only the change from active yields units, and it happens once.
--
-- Holds that another session has locked are passed over as long as the others have p_least units together: one of them
-- must not delay a buyer who needs none of it. Otherwise they are waited for, each for p_patience_ms, or for as long as the
-- session waits for any lock when that is null; then whatever is not locked is expired. With p_least null nobody is ever
-- waited for.
--
-- Nobody waits for an older hold with a newer one locked, which could make a circle with whoever locks them in order:
--
--     A: locks the newer hold, the older one being B's
--     B: wants the newer one, too, and waits for A
--     A: needs more, and waits for the older one
--
-- So the locks that were had without a wait are undone before the wait.
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
begin
    begin
        select array_agg(h.tid), coalesce(sum(h.quantity), 0) into v_tids, units
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
        expired := set_status_of_holds(p_product_id, v_tids, 'expired');
    end if;
    return next;
end
$$;
