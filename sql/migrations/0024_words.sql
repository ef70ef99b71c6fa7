-- One word for each thing.
alter table idempotency_keys rename column reservation_id to hold_id;
alter index idempotency_keys_by_reservation rename to idempotency_keys_by_hold;
alter table orders rename column batch to request_number;
