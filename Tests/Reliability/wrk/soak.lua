-- wrk, with one thread: RATE requests a second (0: as many as possible) of buyers of PRODUCT, every fifth of whom leaves
-- after the hold, or after the order, and of others who look at it. Holds come with idempotency keys, which begin with
-- SLICE. Runs in Benchmarks/wrk.
dofile("checkouts.lua")
local ffi = require("ffi")
ffi.cdef("typedef struct { long seconds, nanoseconds; } soak_time; int clock_gettime(int clock, soak_time *time);")

local rate, slice = tonumber(os.getenv("RATE")), os.getenv("SLICE")
local prepare, buy, answered = init, request, response
local look
local count, due = 0, 0
local time = ffi.new("soak_time")

local function milliseconds()
   ffi.C.clock_gettime(1, time) -- CLOCK_MONOTONIC
   return tonumber(time.seconds) * 1000 + tonumber(time.nanoseconds) / 1e6
end

function init(arguments)
   math.randomseed(tonumber(os.getenv("SEED")))
   prepare(arguments)
   look = wrk.format("GET", "/api/products/" .. os.getenv("PRODUCT"))
   due = milliseconds()
end

-- Until its turn. What falls behind by a while is not made up for.
function delay()
   if rate == 0 then return 0 end
   local now = milliseconds()
   due = math.max(due + 1000 / rate, now - 100)
   return math.max(0, math.floor(due - now + 0.5))
end

function request()
   count = count + 1
   if count % 4 == 0 then return look end
   local whole = buy()
   if whole:sub(1, 15) ~= "POST /api/holds" then return whole end
   return (whole:gsub("\r\n", "\r\nIdempotency-Key: " .. slice .. "-" .. count .. "\r\n", 1))
end

function response(status, headers, body)
   if status ~= 201 or math.random() < 0.8 then answered(status, headers, body) end
end
