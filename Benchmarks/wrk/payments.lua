-- wrk: the payments of what was ordered beforehand.
dofile("seeded.lua")
send("/api/payments/webhook", '{"idempotency_key":"@","order_id":"order_@","status":"success"}')
