-- The bits of the types that an operator named: a type, all types of an object as in 'order.*', or '*'. A hold is many
-- events, so '*' does not include them. Null when a name fits no type.
create or replace function event_mask(p_names text[])
returns integer
language sql immutable strict
as $$
    select case when count(*) = count(named.bits) then coalesce(bit_or(named.bits), 0) end
    from unnest(p_names) as asked (name)
    cross join lateral (
        select bit_or(event_bit(t.type)) as bits
        from unnest(event_types()) as t (type)
        where asked.name in (t.type, split_part(t.type, '.', 1) || '.*')
           or (asked.name = '*' and split_part(t.type, '.', 1) <> 'hold')) named
$$;
