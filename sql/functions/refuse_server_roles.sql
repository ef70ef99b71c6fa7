-- Refuses a call by a role that is no member of the functions' owner, such as the role of a server. Call it in a function that
-- runs with its owner's rights.
create or replace function refuse_server_roles()
returns void
language plpgsql
as $$
begin
    if not pg_has_role(session_user, current_user, 'usage') then
        raise exception 'only the owner of the tables may do this' using errcode = 'insufficient_privilege';
    end if;
end
$$;
