-- Erasures of customers that are under way. A row is the only place that leads from a customer to the pseudonym. It is removed
-- in the transaction that ends the erasure. An erasure that was interrupted goes on with the same pseudonym.
create table customer_erasures (
    customer_id      client_text not null,
    pseudonym        client_text not null,
    started_at       timestamptz not null,
    -- What was replaced so far.
    holds            bigint      not null default 0,
    orders           bigint      not null default 0,
    idempotency_keys bigint      not null default 0,
    events           bigint      not null default 0,
    constraint customer_erasures_pkey primary key (customer_id)
);
