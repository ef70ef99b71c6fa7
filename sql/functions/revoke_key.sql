-- Ends the key with this name and its sessions. Returns when, or no row when there is no such key.
--
-- A request finds its key before it makes its change:
--
--     request: finds the key
--     revoke:  commits
--     request: makes its change
--
-- Such a request counts as one from before the revocation. No request that arrives after the commit finds the key.
--
-- A session may be opened at the same moment. open_session locks the key's row:
--
--     open:   locks the row; this update waits
--     open:   inserts the session and commits
--     revoke: goes on, and a later statement deletes the session
--
-- Or this update comes first. Then open_session waits, and finds that the key is revoked.
create or replace function revoke_key(p_name text, p_who text default null, p_request_id text default null)
returns table (revoked_at timestamptz)
language plpgsql
security definer set search_path = pg_catalog, flashsale, pg_temp
set enable_seqscan = off
as $$
declare
    v_key record;
begin
    update admin_keys k
    set revoked_at = clock_timestamp()
    where k.name = p_name and k.revoked_at is null
    returning k.id, k.scope, k.revoked_at into v_key;
    if not found then
        return;
    end if;
    delete from admin_sessions s where s.key_id = v_key.id;
    perform record_admin_change(
        p_who, p_request_id, 'key.revoked', null, jsonb_build_object('name', p_name, 'scope', v_key.scope), null);
    revoked_at := v_key.revoked_at;
    return next;
end
$$;
