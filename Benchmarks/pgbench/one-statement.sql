-- pgbench: a hold as one conditional statement, one transaction each.
with taken as (
    update flashsale.products set available_stock = available_stock - 1 where id = 1 and available_stock >= 1 returning id
)
insert into flashsale.holds (product_id, id, quantity, expires_at)
select id, gen_random_uuid(), 1, clock_timestamp() + interval '2 minutes' from taken;
