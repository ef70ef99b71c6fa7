-- Makes the commit of a transaction wait for the disk and for synchronous standbys, although the transaction changes
-- nothing. A function calls it before it returns the result of an earlier transaction.
--
-- A result that can be read may still be lost. A crash or an operator may end the session that waits for the standby. Its
-- commit is then visible before the standby has confirmed it. A transaction that writes nothing waits for no standby.
create or replace function confirm_durably()
returns void
language sql
as $$
    select pg_logical_emit_message(true, 'flashsale', '')
$$;
