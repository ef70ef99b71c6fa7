-- Returns the end of a time to live of p_ttl_us microseconds that begins at p_start. It is in whole milliseconds, as clients
-- see it.
create or replace function time_after(p_start timestamptz, p_ttl_us bigint)
returns timestamptz
language sql stable
as $$ select date_trunc('milliseconds', p_start + p_ttl_us * interval '1 microsecond') $$;
