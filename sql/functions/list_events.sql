-- A page of events, oldest first. p_type and p_product_id narrow the list unless they are null. The page begins after the
-- event with the transaction p_after_transaction and the number p_after_number. The first page has null for both.
--
-- A client reads the feed from where it stopped. An event that is committed later must not come before that place:
--
--     A:      dispatches event 1, not committed
--     B:      dispatches event 2, commits
--     client: reads event 2, and will go on after it
--     A:      commits; the client never sees event 1
--
-- So the order is that of the transactions that dispatched the events. The list ends before the oldest transaction that is
-- still under way.
--
-- The conditions are written so that only events_by_transaction serves them. With `p_after_number is null or` and
-- `product_id > 0`, a plan that was made for a small table would read all events by their primary key.
create or replace function list_events(
    p_type text, p_product_id integer, p_after_transaction bigint, p_after_number bigint, p_limit integer)
returns table (
    transaction_id bigint, number bigint, id uuid, type text, product_id integer, object_id text, created_at timestamptz,
    data text)
language plpgsql stable
security definer set search_path = pg_catalog, flashsale, pg_temp
set enable_seqscan = off set enable_bitmapscan = off set max_parallel_workers_per_gather = 0
set plan_cache_mode = force_generic_plan
as $$
begin
    if (p_limit between 1 and 1000 and (p_after_transaction is null) = (p_after_number is null)) is not true then
        perform refuse_arguments();
    end if;
    return query
    select e.transaction_id, e.number, e.id, e.type, e.product_id, e.object_id, e.created_at, e.data::text
    from events e
    where e.transaction_id < txid_snapshot_xmin(txid_current_snapshot())
      and (e.transaction_id, e.number) > (coalesce(p_after_transaction, 0), coalesce(p_after_number, 0))
      and (p_type is null or e.type = p_type)
      and (p_product_id is null or e.product_id = p_product_id)
      and e.product_id <> 0  -- no test of an endpoint
    order by e.transaction_id, e.number
    limit p_limit;
end
$$;
