-- The events that transitions have written, dispatched or not, for the audit.
create or replace function written_events()
returns table (product_id integer, type text, object_id text, version integer, created_at timestamptz)
language sql stable
as $$
    select e.product_id, e.type, e.object_id, e.version, e.created_at from events e
    union all
    select b.product_id, b.type,
           coalesce(each.name, split_part(b.type, '.', 1) || '_' || replace(each.id::text, '-', '')), each.version, b.created_at
    from event_batches b
    cross join lateral unnest(b.object_ids, b.object_names, b.versions) as each (id, name, version)
$$;
