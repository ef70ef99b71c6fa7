-- Sees to it that holds whose making was asked for, but whose answer was lost, either exist when this returns or never
-- will. To be called when the transaction that may have made them may still be under way, or on its way here:
--
--   it has inserted them, and commits        this waits for it, and leaves them as they are
--   it has inserted them, and is undone      this waits for it, then takes their numbers
--   it comes later                           it fails, on the numbers being taken, and does nothing at all
--
-- A number is taken by a hold that has been released: it has no units, and retention removes it. Whoever finds the holds
-- has to read them in a later statement.
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
