-- wrk: holds one unit of PRODUCT, or in turn of PRODUCTS products with consecutive ids from PRODUCT on.
dofile("report.lua")
dofile("post.lua")
local product, products = tonumber(os.getenv("PRODUCT")), tonumber(os.getenv("PRODUCTS") or "1")
wrk.body = string.format('{"product_id":%d,"quantity":1}', product)

if products > 1 then
   local requests, last = {}, 0

   function init()
      for i = 1, products do
         requests[i] = wrk.format(nil, nil, nil, string.format('{"product_id":%d,"quantity":1}', product + i - 1))
      end
   end

   function request()
      last = last % products + 1
      return requests[last]
   end
end
