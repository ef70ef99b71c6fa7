-- The log of all row changes, in a schema of its own, which the program's functions do not see. Without an index, since every
-- transaction writes it.
create schema harness;
create sequence harness.numbers cache 1;
create table harness.changes (
    number      bigint      not null,
    transaction text        not null,
    began       timestamptz not null,
    at          timestamptz not null,  -- when the row was locked and changed
    table_name  text        not null,
    was         text,                  -- what the change found
    row         jsonb,
    id          text        not null);

create function harness.note() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    v_row jsonb := case when tg_op = 'DELETE' then to_jsonb(old) else to_jsonb(new) end;
begin
    insert into harness.changes (number, transaction, began, at, table_name, was, row, id)
    values (nextval('harness.numbers'), pg_current_xact_id()::text, transaction_timestamp(), clock_timestamp(),
            tg_table_name, case when tg_op <> 'INSERT' then to_jsonb(old) ->> tg_argv[0] end,
            case when tg_op <> 'DELETE' then v_row end, v_row ->> tg_argv[1]);
    return null;
end
$$;
grant usage on schema harness to public;

-- Each with the column that tells what a change found, and the column that identifies the row.
create trigger note after insert or update or delete on products for each row
execute function harness.note('available_stock', 'id');
create trigger note after insert or update or delete on holds for each row
execute function harness.note('status', 'id');
create trigger note after insert or update or delete on orders for each row
execute function harness.note('status', 'id');
create trigger note after insert or update or delete on payment_events for each row
execute function harness.note('verdict', 'idempotency_key');
create trigger note after insert or update or delete on idempotency_keys for each row
execute function harness.note('operation', 'key');

-- The products that exist already.
insert into harness.changes (number, transaction, began, at, table_name, was, row, id)
select nextval('harness.numbers'), pg_current_xact_id()::text, transaction_timestamp(), clock_timestamp(), 'products', null,
       to_jsonb(p), p.id::text
from products p;

-- A row of a subtransaction has the subtransaction's xmin, with the commit time of the whole transaction.
create view harness.log as
select json_build_array(
    extract(epoch from pg_xact_commit_timestamp(c.xmin)), c.transaction, extract(epoch from c.began),
    extract(epoch from c.at), c.table_name, c.id, c.was, c.row)
from harness.changes c
order by pg_xact_commit_timestamp(c.xmin), c.transaction, c.number;
