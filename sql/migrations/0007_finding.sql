-- Indexes for the lists of orders and holds. No purchase writes to them: a hold or an order comes here when it has failed, or
-- when its money went back.

-- Orders of a rare status, newest first.
create index orders_ended on orders (product_id, status, id) where status in ('cancelled', 'expired', 'refunded');

-- The holds of a customer that holds_by_customer leaves out.
create index holds_given_back_by_customer on holds (product_id, customer_id)
    where customer_id is not null and status in ('released', 'expired');
