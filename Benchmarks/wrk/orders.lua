-- wrk: orders seeded holds.
dofile("seeded.lua")
send("/api/orders", '{"hold_id":"hold_@"}')
