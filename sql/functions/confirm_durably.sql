-- Makes the transaction's commit wait for the disk, and for synchronous standbys, although it only tells what was done
-- before. Who tells so vouches for it. But what can be read may be lost yet: the session that waits for a standby to confirm
-- its commit may be ended by a crash or an operator, and what it committed is seen by all then, confirmed or not. A
-- transaction that writes nothing would wait for nobody.
create or replace function confirm_durably()
returns void
language sql
as $$
    select pg_logical_emit_message(true, 'flashsale', '')
$$;
