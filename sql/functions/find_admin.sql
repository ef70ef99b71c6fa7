-- Finds the operator to whom a key or a session belongs. The one digest is null. Returns no row for a key that is unknown or
-- revoked, and for a session that has ended.
--
-- A session of a key also needs the key, so it cannot outlive it. A session of ADMIN_TOKEN needs p_admin_token_code: see the
-- table.
create or replace function find_admin(p_key_digest bytea, p_token_digest bytea, p_admin_token_code bytea)
returns table (name text, scope text, expires_at timestamptz)
language plpgsql stable
security definer set search_path = pg_catalog, flashsale, pg_temp
set enable_seqscan = off
as $$
begin
    if (p_key_digest is null) = (p_token_digest is null) then
        perform refuse_arguments();
    end if;
    if p_key_digest is not null then
        return query
        select k.name::text, k.scope::text, null::timestamptz
        from admin_keys k
        where k.key_digest = p_key_digest and k.revoked_at is null;
        return;
    end if;
    return query
    select coalesce(k.name::text, 'ADMIN_TOKEN'), coalesce(k.scope::text, 'admin'), s.expires_at
    from admin_sessions s
    left join admin_keys k on k.id = s.key_id
    where s.token_digest = p_token_digest and s.expires_at > clock_timestamp()
      and case
          when s.key_id is not null then k.revoked_at is null
          else s.admin_token_code = p_admin_token_code
      end;
end
$$;
