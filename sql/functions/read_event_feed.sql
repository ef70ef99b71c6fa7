-- The types of events that are recorded for clients that poll, as the operator named them. Empty while the feed is off.
create or replace function read_event_feed()
returns table (event_types text[])
language sql stable
security definer set search_path = pg_catalog, flashsale, pg_temp
as $$ select f.event_types from event_feed f $$;
