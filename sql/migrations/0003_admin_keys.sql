-- The keys of operators, the sessions of their browsers, and the log of their changes. Keys and sessions belong to no product.

create domain admin_scope as text
    constraint is_known check (value in ('read', 'operate', 'admin'));
-- The log names who made a change. No key has the name of another author: ADMIN_TOKEN, "command line", "role ...".
create domain admin_key_name as text
    constraint is_free_word check (value ~ '^[A-Za-z0-9._-]{1,64}$' and value <> 'ADMIN_TOKEN');
-- SHA-256, or HMAC with SHA-256. No secret is in the database.
create domain secret_digest as bytea
    constraint has_32_bytes check (octet_length(value) = 32);
-- An object and what happened to it. The log outlives versions of the program, so the words have no fixed list.
create domain admin_action as text
    constraint is_object_and_verb check (value ~ '^[a-z_]+\.[a-z_]+$');

create table admin_keys (
    id         integer        generated always as identity,
    name       admin_key_name not null,
    scope      admin_scope    not null,
    key_digest secret_digest  not null,  -- SHA-256 of the key
    created_at timestamptz    not null,
    revoked_at timestamptz,
    constraint admin_keys_pkey primary key (id),
    constraint admin_keys_digest_unique unique (key_digest)
);

-- A name is free again when its key is revoked.
create unique index admin_keys_by_name on admin_keys (name) where revoked_at is null;

create table admin_sessions (
    token_digest     secret_digest not null,  -- SHA-256 of the token in the cookie
    key_id           integer,                 -- the key that opened the session; null for ADMIN_TOKEN
    -- HMAC of ADMIN_TOKEN under the session's token; null for a key. A server computes it from its own ADMIN_TOKEN, so a changed
    -- ADMIN_TOKEN ends the session. Without the session's token nobody can try short tokens against it, as against a SHA-256.
    admin_token_code secret_digest,
    expires_at       timestamptz   not null,
    constraint admin_sessions_pkey primary key (token_digest),
    constraint admin_sessions_key_id_fkey foreign key (key_id) references admin_keys (id),
    constraint admin_sessions_has_one_origin check ((key_id is null) <> (admin_token_code is null))
);

create index admin_sessions_by_key on admin_sessions (key_id);
-- The sessions that retention removes.
create index admin_sessions_by_expiry on admin_sessions (expires_at);

-- The changes by operators. Each row is written in the transaction of its change, and no row is ever removed.
create table admin_changes (
    id         bigint       generated always as identity,
    changed_at timestamptz  not null,
    who        client_text  not null,  -- the name of a key, ADMIN_TOKEN, "command line", or "role " and a role of the database
    action     admin_action not null,
    product_id integer,                -- null for a change of a key
    old_values jsonb,                  -- null when something was created
    new_values jsonb,                  -- null when something was revoked
    request_id client_text,            -- null outside of HTTP
    constraint admin_changes_pkey primary key (id),
    constraint admin_changes_has_values check (old_values is not null or new_values is not null)
);

create index admin_changes_by_product on admin_changes (product_id, id);
