-- How much time may pass in a transaction between its look at the clock and the lock that it waits for last. What it makes
-- lives so much shorter than told: a hundredth of its time to live, which nobody notices, and at most a quarter of a second.
create or replace function clock_tolerance(p_ttl_us bigint)
returns interval
language sql immutable
as $$
    select least(greatest(p_ttl_us / 100, 20000), 250000) * interval '1 microsecond'
$$;
