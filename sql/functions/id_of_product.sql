-- An id with the same second and the same random bits as p_id, in another product. ReservationID.swift describes the bits. The
-- ids of that product that are smaller are older than p_id.
create or replace function id_of_product(p_product_id integer, p_id uuid)
returns uuid
language sql immutable
as $$
    select overlay(p_id::text placing lpad(to_hex(p_product_id), 8, '0') from 1)::uuid
$$;
