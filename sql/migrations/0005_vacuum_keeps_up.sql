-- By default a table is vacuumed once a fifth of it is dead, so the more was ever sold, the more of what lapsed lies about in
-- the indexes of those who still buy.
alter table holds set (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 10000);
alter table orders set (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 10000);
alter table idempotency_keys set (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 10000);
