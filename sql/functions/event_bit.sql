-- The bit of a type of events in wanted_events. Null for a type that nobody can want.
create or replace function event_bit(p_type text)
returns integer
language sql immutable
as $$ select 1 << (array_position(event_types(), p_type) - 1) $$;
