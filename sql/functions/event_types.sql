-- The types of events that an endpoint or the feed can want. The place of a type is its bit: append new types, and move
-- none. EventType in Swift has the same list.
create or replace function event_types()
returns text[]
language sql immutable
as $$
    select array[
        'order.placed', 'order.paid', 'order.cancelled', 'order.expired', 'order.refunded', 'order.disputed',
        'refund.due', 'payment.mismatched', 'product.sold_out', 'product.restocked', 'product.paused',
        'hold.placed', 'hold.released', 'hold.expired']
$$;
