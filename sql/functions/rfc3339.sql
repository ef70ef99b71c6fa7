-- A time as clients see it: RFC 3339 in UTC with milliseconds. It does not depend on the settings of the session.
create or replace function rfc3339(p_time timestamptz)
returns text
language sql stable
as $$ select to_char(p_time at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') $$;
