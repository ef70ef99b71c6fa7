-- Ends a transaction that needs units of lapsed holds which another session has locked, perhaps to give them back. The
-- server runs the transaction again, and the next attempt waits for them.
create or replace function raise_lapsed_units_locked(p_product_id integer)
returns void
language plpgsql
as $$
begin
    raise exception 'lapsed units of product % are locked', p_product_id using errcode = 'serialization_failure';
end
$$;
