-- Adds a row to the log of operators' changes. Call it in the transaction of the change, so there is neither a change without
-- its row nor a row without its change:
--
--     server:   creates a product and its row, and commits
--     server:   crashes before it responds
--     operator: repeats the request under its Idempotency-Key; the replay changes nothing, so it adds no row
--
-- p_who is null when somebody calls a function past the program. The row then names the session's role.
create or replace function record_admin_change(
    p_who text, p_request_id text, p_action text, p_product_id integer, p_old_values jsonb, p_new_values jsonb)
returns void
language plpgsql
as $$
begin
    insert into admin_changes (changed_at, who, action, product_id, old_values, new_values, request_id)
    values (
        clock_timestamp(), coalesce(p_who, 'role ' || session_user), p_action, p_product_id, p_old_values, p_new_values,
        p_request_id);
end
$$;
