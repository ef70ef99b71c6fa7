-- wrk: posts one unit of a product, over and over. Prints how many answers were not 2xx.
wrk.method = "POST"
wrk.body = '{"product_id":' .. (os.getenv("PRODUCT") or "1") .. ',"quantity":1}'
wrk.headers["Content-Type"] = "application/json"
