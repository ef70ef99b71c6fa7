-- Both indexes begin with the product, as does the primary key. When the statistics know nothing of a product yet, as at the
-- start of its sale, the planner expects one row of it in any of the three, and may look for a key among all rows of the
-- product in the wrong one. The conditions hold for every row, but are known to hold only to a query that asks for the
-- column: no other can use the index.
drop index idempotency_keys_by_age;
drop index idempotency_keys_by_reservation;
create index idempotency_keys_by_age on idempotency_keys (product_id, created_at) where created_at is not null;
-- A hold stays as long as a key leads to it.
create index idempotency_keys_by_reservation on idempotency_keys (product_id, reservation_id)
    where reservation_id is not null;
