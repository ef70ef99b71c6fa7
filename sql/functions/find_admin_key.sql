-- Looks up the idempotency key of an operator's call. The outcome is 'new'; 'replayed' for the same request, with the
-- product of the recorded call; or 'key_reused' for another request. A null key is always new. Call it before any row is
-- locked.
--
-- A second server with the same key waits here until the first has committed. A later statement reads the key, and
-- finds it. So a repeat after a lost answer has no further effect, even while the first call is under way.
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
