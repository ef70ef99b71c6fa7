-- When the connection breaks under a batch of orders, its server asks again, and has to tell the orders that the batch
-- placed from those that others did.
alter table orders
    add column batch bigint;  -- the number of the batch that placed it, plus its place there; null before this migration
