-- Begins the erasure of a customer, or goes on with one that was interrupted. Returns the customer's pseudonym: p_pseudonym,
-- or that of the erasure under way.
--
-- Only the owner of the tables may erase customers: nobody can undo it.
create or replace function begin_erasure(p_customer_id text, p_pseudonym text)
returns text
language plpgsql
security definer set search_path = pg_catalog, flashsale, pg_temp
as $$
begin
    perform refuse_server_roles();
    if (char_length(p_customer_id) between 1 and 255 and p_pseudonym ~ '^erased_[0-9a-f]{32}$') is not true then
        perform refuse_arguments();
    end if;
    insert into customer_erasures (customer_id, pseudonym, started_at)
    values (p_customer_id, p_pseudonym, clock_timestamp())
    on conflict do nothing;
    return (select e.pseudonym from customer_erasures e where e.customer_id = p_customer_id);
end
$$;
