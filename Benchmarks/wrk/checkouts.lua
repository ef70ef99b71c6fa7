-- wrk, with one thread: holds a unit of PRODUCT, orders it, and sends a successful payment event.
--
-- wrk does not say which request or connection a response belongs to. The response shows its kind and its id. Ids wait
-- in two lists. Holds, orders and payments take turns, so all three are in progress at any time. If a list is empty,
-- the request is a hold.
dofile("report.lua")
dofile("post.lua")
finished = 0 -- payment events that were applied

local hold, order, pay
local to_order, to_pay = {}, {}
local turn = 0

function init()
   hold = wrk.format("POST", "/api/holds", nil, '{"product_id":' .. os.getenv("PRODUCT") .. ',"quantity":1}')
   order = template("/api/orders", '{"hold_id":"hold_@"}')
   pay = template("/api/payments/webhook", '{"idempotency_key":"@","order_id":"order_@","status":"success"}')
end

function request()
   turn = (turn + 1) % 3
   if turn == 1 and #to_order > 0 then
      return order(table.remove(to_order))
   elseif turn == 2 and #to_pay > 0 then
      return pay(table.remove(to_pay))
   end
   return hold
end

function response(status, headers, body)
   if body:sub(1, 17) == '{"hold_id":"hold_' then
      to_order[#to_order + 1] = body:sub(18, 49)
   elseif status == 201 then -- {"order_id":"order_
      to_pay[#to_pay + 1] = body:sub(20, 51)
   elseif body:find('"verdict":"applied"', 1, true) then
      finished = finished + 1
   end
end
