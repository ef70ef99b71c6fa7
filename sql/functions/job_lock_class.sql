-- The first half of the advisory lock (class, product) that guards a product's jobs. PostgreSQL keeps locks of two
-- 32-bit keys apart from those of one 64-bit key, which payment events use.
create or replace function job_lock_class()
returns integer
language sql immutable
as $$ select 1 $$;
