-- A page of operators' changes, newest first. p_product_id narrows the list unless it is null. The page begins after the
-- change p_before. The first page has null.
--
-- A change that commits late may have a lower number than one that was listed before. It is on its page when the list is
-- read again.
create or replace function list_admin_changes(p_product_id integer, p_before bigint, p_limit integer)
returns table (
    id bigint, changed_at timestamptz, who text, action text, product_id integer, old_values text, new_values text,
    request_id text)
language plpgsql stable
security definer set search_path = pg_catalog, flashsale, pg_temp
as $$
begin
    if (p_limit between 1 and 1000) is not true then
        perform refuse_arguments();
    end if;
    return query
    select c.id, c.changed_at, c.who::text, c.action::text, c.product_id, c.old_values::text, c.new_values::text,
           c.request_id::text
    from admin_changes c
    where (p_product_id is null or c.product_id = p_product_id)
      and (p_before is null or c.id < p_before)
    order by c.id desc
    limit p_limit;
end
$$;
