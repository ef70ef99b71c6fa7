-- Refuses a call whose arguments are out of bounds. Servers check what clients send, so only a caller other than a server of
-- this program comes here: see "A role that can do no harm" in the README. Called where a check has failed, and not to make
-- the check: a call of a function costs more than an expression.
create or replace function refuse_arguments()
returns void
language plpgsql
as $$
begin
    raise exception 'the arguments are out of bounds' using errcode = 'invalid_parameter_value';
end
$$;
