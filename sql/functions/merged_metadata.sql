-- The metadata of an order: that of its hold, and that of its request on top. Null when there is neither.
create or replace function merged_metadata(p_of_hold jsonb, p_of_request jsonb)
returns jsonb
language sql immutable
as $$ select coalesce(p_of_hold || p_of_request, p_of_hold, p_of_request) $$;
