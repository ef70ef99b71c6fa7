-- The smallest id that a hold of this product can have if it was made in this Unix second. ReservationID.swift describes the
-- bits. All ids of earlier seconds are smaller.
create or replace function first_hold_id(p_product_id integer, p_second bigint)
returns uuid
language sql immutable
as $$
    select (lpad(to_hex(p_product_id), 8, '0') || lpad(to_hex(p_second >> 16), 4, '0')
            || '8' || lpad(to_hex((p_second >> 4) & 4095), 3, '0')
            || to_hex(8 | ((p_second >> 2) & 3)) || to_hex((p_second & 3) << 2) || repeat('0', 14))::uuid
$$;
