-- Ends a session. Does nothing when it has ended.
create or replace function close_session(p_token_digest bytea)
returns void
language plpgsql
security definer set search_path = pg_catalog, flashsale, pg_temp
set enable_seqscan = off
as $$
begin
    delete from admin_sessions s where s.token_digest = p_token_digest;
end
$$;
