-- The successful calls of operators that came with an idempotency key.
create table admin_idempotency_keys (
    scope      integer     not null,  -- the product that was restocked, 0 for calls that create one
    key        text        not null,
    product_id integer     not null,  -- what was created or restocked
    request    jsonb       not null,  -- what was asked for: a repeat must ask for the same
    created_at timestamptz not null,
    constraint admin_idempotency_keys_pkey primary key (scope, key),
    constraint admin_idempotency_keys_key_length check (char_length(key) between 1 and 255),
    constraint admin_idempotency_keys_scope_is_product check (scope in (0, product_id))
);

-- What retention removes.
create index admin_idempotency_keys_by_age on admin_idempotency_keys (product_id, created_at);
