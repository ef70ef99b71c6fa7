-- While a product is paused, nobody can hold its units. Existing holds and orders go on.
alter table products add column is_paused boolean not null default false;
