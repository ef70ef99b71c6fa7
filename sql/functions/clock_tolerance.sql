-- How much time may pass between a transaction's look at the clock and its last lock. A hold or order then lives that much
-- shorter than told. It is a hundredth of the time to live, at least 20 ms and at most 250 ms.
create or replace function clock_tolerance(p_ttl_us bigint)
returns interval
language sql immutable
as $$
    select least(greatest(p_ttl_us / 100, 20000), 250000) * interval '1 microsecond'
$$;
