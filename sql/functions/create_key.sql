-- Adds a key of an operator. The outcome is 'created', or 'name_taken' when a key with this name is not revoked.
--
--     first:  inserts its key
--     second: inserts a key with the same name; the unique index makes it wait
--     first:  commits, so the second gets 'name_taken'. Or rolls back, so the second key is created
--
-- The key itself stays with the caller. If the caller crashes after the commit, nobody has the key: revoke it by its name.
create or replace function create_key(
    p_name text, p_scope text, p_key_digest bytea, p_who text default null, p_request_id text default null)
returns table (outcome text)
language plpgsql
security definer set search_path = pg_catalog, flashsale, pg_temp
as $$
begin
    insert into admin_keys (name, scope, key_digest, created_at)
    values (p_name, p_scope, p_key_digest, clock_timestamp())
    on conflict (name) where revoked_at is null do nothing;
    if not found then
        outcome := 'name_taken';
    else
        outcome := 'created';
        perform record_admin_change(
            p_who, p_request_id, 'key.created', null, null, jsonb_build_object('name', p_name, 'scope', p_scope));
    end if;
    return next;
end
$$;
