-- Refuses a call whose arguments are out of bounds. Servers check the arguments of clients, so only other callers are
-- refused here: see "A role that can do no harm" in docs/operations.md. A function calls it after its check has failed.
-- The check itself is an expression, which costs less than a call.
create or replace function refuse_arguments()
returns void
language plpgsql
as $$
begin
    raise exception 'the arguments are out of bounds' using errcode = 'invalid_parameter_value';
end
$$;
