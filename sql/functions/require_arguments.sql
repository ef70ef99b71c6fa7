-- Refuses a call whose arguments are out of bounds. Servers check what clients send, so only a caller other than a server of
-- this program comes here: see "A role that can do no harm" in the README.
create or replace function require_arguments(p_are_valid boolean)
returns void
language plpgsql
as $$
begin
    if p_are_valid is not true then
        raise exception 'the arguments are out of bounds' using errcode = 'invalid_parameter_value';
    end if;
end
$$;
