-- The product of a hold or an order. Its id begins with the product: see ReservationID.swift.
create or replace function product_of_id(p_id uuid)
returns integer
language sql immutable
as $$
    select ('x' || left(p_id::text, 8))::bit(32)::integer
$$;
