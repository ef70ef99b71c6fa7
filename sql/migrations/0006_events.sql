-- Events tell the shop what happened. Each is written in the transaction of its change: see docs/architecture.md.

-- A bit for each type of event that an endpoint or the feed wants: see event_bit. It is 0 while nobody wants any. Every
-- function that makes a transition reads this row anyway, so a sale without endpoints pays nothing.
alter table products add column wanted_events integer not null default 0;
-- The number of events of the object. It grows in the transaction of the change, under the row's lock. So a receiver can drop
-- an event that is older than the last one it has seen.
alter table products add column version integer not null default 0;
alter table orders add column version integer not null default 0;

-- Events as transitions write them: one row for a batch of a transaction, whatever the number of its events. With a row for
-- each event, a batch of orders or payments took half as long again, mostly for indexes and JSON. A server that delivers events
-- makes them from these rows: see dispatch_events.
create table event_batches (
    id         bigint      generated always as identity,
    product_id integer     not null,
    type       text        not null,  -- see event_types
    created_at timestamptz not null,
    versions   integer[]   not null,  -- for each event the object's version
    -- The objects: orders or holds by their numbers, others by name. What an event tells of an order or a hold follows from its
    -- type and from columns that never change, unless data has it.
    object_ids   uuid[],
    object_names text[],
    data         jsonb[],
    constraint event_batches_pkey primary key (id)
) with (
    -- A queue: rows are removed as fast as they come.
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 1000
);

-- There are no CHECK constraints and no foreign keys: see 0001_checkout.sql. The audit compares the events with their objects.
create table events (
    product_id     integer     not null,  -- 0 for a test of an endpoint
    id             uuid        not null,  -- made from the columns below: see event_id. So an event exists once
    type           text        not null,  -- see event_types
    object_id      text        not null,  -- the id of an order or hold, the number of a product, or the key of a payment
    version        integer     not null,  -- of the object, from 1
    created_at     timestamptz not null,
    -- The feed has the order of these two: see list_events.
    transaction_id bigint      not null default txid_current(),  -- the one that dispatched it
    number         bigint      generated always as identity,     -- tells events of one transaction apart, in their order
    data           jsonb       not null,  -- the object as the API shows it, and its version
    constraint events_pkey primary key (product_id, id)
) with (
    autovacuum_vacuum_scale_factor = 0.01,
    autovacuum_vacuum_threshold = 10000
);

-- The feed, and the oldest events, which retention removes.
create index events_by_transaction on events (transaction_id, number);

create domain endpoint_status as text
    constraint is_known check (value in ('enabled', 'disabled'));
-- An operator disabled the endpoint, it answered 410, or it failed for three days.
create domain endpoint_disabling as text
    constraint is_known check (value in ('operator', 'gone', 'failing'));
create domain delivery_status as text
    constraint is_known check (value in ('pending', 'delivered', 'failed'));
create domain endpoint_url as text
    constraint has_1_to_2048_characters check (char_length(value) between 1 and 2048);

-- Where events are sent.
create table webhook_endpoints (
    id              uuid            not null,
    url             endpoint_url    not null,
    event_types     text[]          not null,  -- as the operator named them, such as order.*
    wanted_events   integer         not null,  -- the same as bits
    description     client_text,
    status          endpoint_status not null default 'enabled',
    disabled_reason endpoint_disabling,
    -- Both sign deliveries, so they are stored as they are. No function but claim_deliveries returns them.
    secret                text        not null,
    previous_secret       text,
    previous_secret_until timestamptz,
    created_at      timestamptz     not null,
    failures        integer         not null default 0,  -- in a row
    failing_since   timestamptz,
    probe_at        timestamptz,  -- when the next delivery may be tried, while failures are too many
    constraint webhook_endpoints_pkey primary key (id),
    constraint webhook_endpoints_disabled_for_a_reason check ((status = 'disabled') = (disabled_reason is not null)),
    constraint webhook_endpoints_failing_since_failure check ((failures > 0) = (failing_since is not null)),
    constraint webhook_endpoints_previous_secret_ends check ((previous_secret is null) = (previous_secret_until is null))
);

-- The delivery of an event to an endpoint. There are no foreign keys, because their checks are queries for each row.
create table deliveries (
    product_id      integer         not null,
    event_id        uuid            not null,
    endpoint_id     uuid            not null,
    status          delivery_status not null default 'pending',
    attempts        integer         not null default 0,
    -- When it is due. While a server has it leased, the end of the lease: then another server may take over.
    next_at         timestamptz     not null,
    lease_id        uuid,                     -- of the last lease; null when its result is recorded
    created_at      timestamptz     not null,
    last_attempt_at timestamptz,              -- when the last result was recorded
    status_code     integer,                  -- of the last response
    error           text,                     -- why there was no response
    constraint deliveries_pkey primary key (product_id, event_id, endpoint_id)
) with (
    autovacuum_vacuum_scale_factor = 0.01,
    autovacuum_vacuum_threshold = 10000
);

create index deliveries_due on deliveries (endpoint_id, next_at) where status = 'pending';
-- Pages, newest first.
create index deliveries_by_creation on deliveries (created_at desc, event_id desc, endpoint_id desc);
-- The same of the few that have failed. Each open control room asks for them every ten seconds.
create index deliveries_failed on deliveries (created_at desc, event_id desc, endpoint_id desc) where status = 'failed';

-- The types that are recorded for clients that poll. It is off while it names none.
create table event_feed (
    is_only       boolean not null default true,
    event_types   text[]  not null default '{}',
    wanted_events integer not null default 0,
    constraint event_feed_pkey primary key (is_only),
    constraint event_feed_has_one_row check (is_only)
);
insert into event_feed default values;
