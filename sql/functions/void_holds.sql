-- Finds out about holds whose answer was lost: when this returns, they either exist or never will. The transaction that
-- makes them may still be under way, or on its way to the database:
--
--     it has inserted them, and commits        this waits for it, and leaves them as they are
--     it has inserted them, and is undone      this waits for it, then takes their numbers
--     it comes later                           it fails, since the numbers are taken, and does nothing at all
--
-- A released hold takes a number: it has no units, and retention removes it. A later statement must read which holds exist.
create or replace function void_holds(p_product_id integer, p_hold_ids uuid[])
returns void
language sql
security definer set search_path = pg_catalog, flashsale, pg_temp
as $$
    insert into holds (product_id, id, quantity, status, expires_at)
    select p.id, hold_id, 1, 'released', date_trunc('milliseconds', clock_timestamp())
    from products p
    cross join unnest(p_hold_ids) hold_id
    where p.id = p_product_id
    on conflict do nothing;

    select confirm_durably();
$$;
