-- A key is known by its customer, too, so that nobody is shown another customer's hold. No customer has the empty name: it
-- stands for none, since a primary key has no nulls.
alter table idempotency_keys add column customer_id text not null default '';

update idempotency_keys k
set customer_id = h.customer_id
from holds h
where h.product_id = k.product_id and h.id = k.reservation_id and h.customer_id is not null;

alter table idempotency_keys
    drop constraint idempotency_keys_pkey,
    add constraint idempotency_keys_pkey primary key (product_id, key, customer_id),
    add constraint idempotency_keys_customer_id_length check (char_length(customer_id) <= 255);
