-- All keys of operators, in the order of their creation, with those that are revoked.
create or replace function list_keys()
returns table (name text, scope text, created_at timestamptz, revoked_at timestamptz)
language sql stable
security definer set search_path = pg_catalog, flashsale, pg_temp
as $$
    select k.name::text, k.scope::text, k.created_at, k.revoked_at
    from admin_keys k
    order by k.id
$$;
