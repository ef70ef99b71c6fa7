-- What a key of an operator's call stands for: 'new', 'replayed' for the same request, 'key_reused' for another one; and the
-- product of the recorded call. To be called before any row is locked. Without a key it is always new.
--
-- The same key on two servers at once: the second waits here until the first has committed, then finds the key. What is
-- recorded is read in a later statement than the lock. So a repeat whose first call is still under way, since its answer was
-- lost, has no effect of its own either.
create or replace function find_admin_key(
    p_scope integer, p_key text, p_request jsonb, out outcome text, out product_id integer)
language plpgsql
set enable_seqscan = off
as $$
begin
    outcome := 'new';
    if p_key is null then
        return;
    end if;
    perform pg_advisory_xact_lock(admin_key_lock(p_scope, p_key));
    select case when k.request = p_request then 'replayed' else 'key_reused' end, k.product_id
    into outcome, product_id
    from admin_idempotency_keys k
    where k.scope = p_scope and k.key = p_key;
    if not found then
        outcome := 'new';
    elsif outcome = 'replayed' then
        perform confirm_durably();
    end if;
end
$$;
