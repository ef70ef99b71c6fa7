-- Adds an event of this type for each of these holds, with the hold as it is now. The caller has checked that the type is
-- wanted. A hold has no column for its version: it is placed once, as version 1, and ends once, as version 2.
create or replace function add_hold_events(p_product_id integer, p_hold_ids uuid[], p_type text)
returns void
language plpgsql
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
declare
    v_now     constant timestamptz := clock_timestamp();
    v_version constant integer := case p_type when 'hold.placed' then 1 else 2 end;
begin
    insert into events (product_id, id, type, object_id, version, created_at, data)
    select p_product_id, event_id(p_product_id, p_type, h.object_id, v_version), p_type, h.object_id, v_version,
           v_now, hold_event_data(h.item, v_now, v_version)
    from unnest(p_hold_ids) as asked (id)
    cross join lateral (
        select h as item, 'hold_' || replace(h.id::text, '-', '') as object_id
        from holds h
        where h.product_id = p_product_id and h.id = asked.id
        offset 0) h;
end
$$;
