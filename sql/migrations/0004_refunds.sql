-- Money that goes back to buyers: refunds of orders, and disputes.

-- The new conditions hold for all present rows. The new columns are of plain types: a column of a domain with a constraint would
-- make PostgreSQL write the whole table again.
alter domain order_status drop constraint is_known;
alter domain order_status add constraint is_known check (
    value in ('pending_payment', 'paid', 'cancelled', 'expired', 'refunded'));
-- refunded_total and refund are refunds by the provider. The first has the total of its payment so far, the second one amount.
alter domain payment_status drop constraint is_known;
alter domain payment_status add constraint is_known check (
    value in ('success', 'failed', 'attempt_failed', 'refunded_total', 'refund', 'dispute_open', 'dispute_won', 'dispute_lost'));
alter domain payment_verdict drop constraint is_known;
alter domain payment_verdict add constraint is_known check (
    value in ('applied', 'parked', 'reacquired', 'refund_due', 'amount_mismatch', 'ignored', 'attempt_failed', 'settled'));
create domain natural_amount as bigint constraint is_not_negative check (value >= 0);
create domain refund_source as text
    constraint is_known check (value in ('operator', 'provider'));

-- An order is live, so its units are not for sale, while it is unpaid, paid, or refunded without restocking.
--
-- Every batch of orders or payments would parse further constraints of this table. Only record_refund changes refunded_amount and
-- is_restocked, and only decide_refunds changes dispute. The first checks the amount, and the audit checks all of it.
alter table orders
    add column refunded_amount bigint  not null default 0,      -- minor units of the currency, at most the amount
    add column dispute         text,                            -- open, won or lost; null without one
    add column is_restocked    boolean not null default false,  -- whether a refund returned the units to the stock
    drop constraint orders_paid_at_when_paid,
    add constraint orders_paid_at_when_paid check ((status in ('paid', 'refunded')) = (paid_at is not null));

-- The refunds of an order add up to its refunded_amount. They are never removed.
create table refunds (
    product_id       integer        not null,
    id               uuid           not null,
    order_id         uuid           not null,
    amount           natural_amount not null,  -- minor units of the order's currency; 0 for a refund that only restocks
    requested_amount bigint,                   -- null for all that was left; a repeat must ask for the same
    is_restock       boolean        not null,  -- whether the order's units should return to the stock
    reason           client_text,
    source           refund_source  not null,
    created_at       timestamptz    not null,
    idempotency_key  client_text,              -- of the operator's request; null for the provider's refunds
    constraint refunds_pkey primary key (product_id, id),
    constraint refunds_key_unique unique (product_id, idempotency_key)
);

create index refunds_by_order on refunds (product_id, order_id, created_at);

-- A refund or a dispute is about one payment, and payment_key is that payment's idempotency key. Until the payment is
-- decided, the event is parked, although its order may exist.
alter table payment_events
    add column payment_key text,  -- null for payments and their failures
    drop constraint payment_events_order_status_of_order,
    add constraint payment_events_order_status_of_order check (
        case verdict
            when 'parked' then order_status is null
            when 'applied' then order_status is not null
            else true
        end);

-- The payment's key comes first, as in the primary key.
create index payment_events_by_payment on payment_events (payment_key, product_id) where payment_key is not null;
