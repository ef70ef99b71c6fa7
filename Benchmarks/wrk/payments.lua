-- wrk: pays for seeded orders.
dofile("seeded.lua")
send("/api/payments/webhook", '{"idempotency_key":"@","order_id":"order_@","status":"success"}')
