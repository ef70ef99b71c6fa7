-- Sale windows and limits of products, who holds what, idempotency keys of buyers, money that waits for an operator, and
-- the retention of all of these.

alter table products
    add column starts_at             timestamptz,
    add column ends_at               timestamptz,
    add column max_quantity_per_hold integer,
    add column max_per_customer      integer,  -- units in active holds and live orders
    add constraint products_window_in_order check (starts_at < ends_at),
    add constraint products_max_quantity_per_hold_positive check (max_quantity_per_hold > 0),
    add constraint products_max_per_customer_positive check (max_per_customer > 0);

-- Units in live orders. With the product's own counters it tells how many units are only held, without adding up
-- holds. A row of its own, so that placing orders does not wait for those who reserve.
create table ordered_stock (
    product_id integer not null,
    units      integer not null,
    constraint ordered_stock_pkey primary key (product_id),
    constraint ordered_stock_not_negative check (units >= 0)
) with (
    fillfactor = 20,
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_cost_delay = 0
);

insert into ordered_stock (product_id, units)
select p.id, coalesce(sum(o.quantity), 0)
from products p
left join orders o on o.product_id = p.id and o.status in ('pending_payment', 'paid')
group by p.id;

alter table holds
    add column customer_id text,
    add constraint holds_customer_id_length check (char_length(customer_id) between 1 and 255);

-- What a customer has, for max_per_customer.
create index holds_by_customer on holds (product_id, customer_id)
    where customer_id is not null and status in ('active', 'ordered');

-- What retention removes.
create index holds_given_back on holds (product_id, expires_at) where status in ('released', 'expired');

-- The successful calls that came with a key. What they asked for is read from the hold.
create table idempotency_keys (
    product_id     integer     not null,
    key            text        not null,
    operation      text        not null,
    reservation_id uuid        not null,  -- the number of the hold, and of the order made from it
    created_at     timestamptz not null,
    constraint idempotency_keys_pkey primary key (product_id, key),
    constraint idempotency_keys_key_length check (char_length(key) between 1 and 255),
    constraint idempotency_keys_operation_known check (operation in ('reserve_hold', 'place_order'))
);

create index idempotency_keys_by_age on idempotency_keys (product_id, created_at);
-- A hold stays as long as a key leads to it.
create index idempotency_keys_by_reservation on idempotency_keys (product_id, reservation_id);

alter table payment_events
    add column settled_at timestamptz,  -- when an operator said that the money was given back
    add constraint payment_events_settled_was_due check (
        settled_at is null or verdict = 'refund_due' or (verdict = 'amount_mismatch' and status = 'success'));

-- Pages, newest first; the key tells events of one moment apart.
drop index payment_events_by_arrival;
create index payment_events_by_arrival on payment_events (received_at desc, idempotency_key desc);
create index payment_events_by_verdict on payment_events (verdict, received_at desc, idempotency_key desc);

-- Money that somebody has to look after: what monitors ask for every few seconds.
create index payment_events_waiting on payment_events (received_at)
    where status = 'success' and verdict in ('refund_due', 'amount_mismatch', 'parked') and settled_at is null;

alter table scheduled_jobs
    drop constraint scheduled_jobs_kind_known,
    add constraint scheduled_jobs_kind_known check (kind in ('expire_holds', 'expire_orders', 'remove_old'));

insert into scheduled_jobs (product_id, kind, run_at)
select id, 'remove_old', clock_timestamp() from products;
