-- wrk: orders what was held beforehand.
dofile("seeded.lua")
send("/api/orders", '{"hold_id":"hold_@"}')
