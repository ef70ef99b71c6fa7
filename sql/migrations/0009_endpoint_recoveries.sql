-- The recovery of an endpoint goes on in steps: see begin_recovery. While one is under way, this is the last event that it has
-- read, in the order of events_by_transaction, and when it read it.
alter table webhook_endpoints
    add column recovery_transaction_id bigint,
    add column recovery_number         bigint,
    add column recovery_at             timestamptz,
    -- The start of the last recovery. Events since then are sent to the endpoint, even if it was created later.
    add column recovered_since         timestamptz,
    add constraint webhook_endpoints_recovery_has_place
        check (num_nulls(recovery_transaction_id, recovery_number, recovery_at) in (0, 3));
