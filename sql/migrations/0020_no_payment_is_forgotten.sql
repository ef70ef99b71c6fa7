-- A parked success is money. When its order does not come it becomes refund_due, although there is no order to have a status.
alter table payment_events
    drop constraint payment_events_parked_has_no_order,
    add constraint payment_events_order_status_of_order check (
        case verdict
            when 'parked' then order_status is null
            when 'refund_due' then true
            else order_status is not null
        end),
    -- When a repeat of a parked event was last answered; null before the first. Retention counts from here.
    add column told_at timestamptz;

-- An operator asks for all events of one order.
create index payment_events_by_order on payment_events (product_id, order_id, received_at);

-- The shortest retention that a server can ask for, so that a server's role cannot make money or keys disappear. Only the
-- owner of the tables can change it.
create table minimum_retention (
    is_only         boolean  not null default true,
    idempotency_key interval not null default interval '1 hour',
    parked_event    interval not null default interval '1 hour',
    constraint minimum_retention_pkey primary key (is_only),
    constraint minimum_retention_has_one_row check (is_only),
    constraint minimum_retention_not_negative check (idempotency_key >= interval '0' and parked_event >= interval '0')
);
insert into minimum_retention default values;
