-- wrk, with one thread: buyers who hold a unit of PRODUCT, order it, and whose payment succeeds.
--
-- wrk does not tell to which request, or on which connection, an answer came. It need not: the answer itself says what
-- it is and which reservation it is about. Ids wait in two lists, and requests take turns at them, so that all three
-- kinds are under way at any time; when a list is empty, a new buyer comes instead.
dofile("report.lua")
dofile("post.lua")
finished = 0 -- payments that took effect

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
