-- Opens a session for a key, or for ADMIN_TOKEN. The key's digest or the code is null. Returns whose session it is, or no row
-- for a key that is unknown or revoked.
create or replace function open_session(
    p_key_digest bytea, p_admin_token_code bytea, p_token_digest bytea, p_time_to_live_us bigint)
returns table (name text, scope text, expires_at timestamptz)
language plpgsql
security definer set search_path = pg_catalog, flashsale, pg_temp
set enable_seqscan = off
as $$
declare
    v_key_id integer;
begin
    if ((p_key_digest is null) <> (p_admin_token_code is null) and is_time_to_live(p_time_to_live_us)) is not true then
        perform refuse_arguments();
    end if;
    name := 'ADMIN_TOKEN';
    scope := 'admin';
    if p_key_digest is not null then
        -- Without this lock the session could outlive its key: see revoke_key.
        select k.id, k.name, k.scope into v_key_id, name, scope
        from admin_keys k
        where k.key_digest = p_key_digest and k.revoked_at is null
        for share;
        if not found then
            return;
        end if;
    end if;
    expires_at := clock_timestamp() + p_time_to_live_us * interval '1 microsecond';
    insert into admin_sessions (token_digest, key_id, admin_token_code, expires_at)
    values (p_token_digest, v_key_id, p_admin_token_code, expires_at);
    return next;
end
$$;
