-- pgbench: a hold as it is often written: lock the row, read the stock, update it.
begin;
select available_stock from flashsale.products where id = 1 for update;
update flashsale.products set available_stock = available_stock - 1 where id = 1;
insert into flashsale.holds (product_id, id, quantity, expires_at)
values (1, gen_random_uuid(), 1, clock_timestamp() + interval '2 minutes');
commit;
