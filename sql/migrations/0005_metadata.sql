-- What clients note on holds and orders: an object of strings. Null means none, so no object is empty. The columns have no
-- domain: a batch without metadata would evaluate its constraint for each row. Functions check their arguments instead.
alter table holds add column metadata jsonb;
alter table orders add column metadata jsonb;
