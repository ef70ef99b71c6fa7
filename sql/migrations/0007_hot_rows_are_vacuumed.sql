-- Updates of a product's row stay on its page as long as there is room, and leave hardly a dead row to be counted. The few
-- that do not stay leave their pages behind, which only a vacuum makes usable again: at 5000 dead rows it came never, and the
-- tables grew by half a megabyte an hour. Their ends are not given back, since that takes a lock that buyers would feel.
alter table products set (autovacuum_vacuum_threshold = 200, vacuum_truncate = off);
alter table ordered_stock set (autovacuum_vacuum_threshold = 200, vacuum_truncate = off);
