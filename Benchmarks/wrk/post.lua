-- wrk: posting JSON that names a reservation, without putting headers together for each request: what the load generator
-- does not use of the processor, the server has.
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"

-- Returns a function that makes the request from the 32 digits of an id, which stand in the body wherever it has an @.
-- For use in init.
function template(path, body)
   local placeholder = string.rep("@", 32)
   local whole = wrk.format("POST", path, nil, (body:gsub("@", placeholder)))
   local pieces, start = {}, 1
   repeat
      local from, to = whole:find(placeholder, start, true)
      pieces[#pieces + 1] = whole:sub(start, (from or 0) - 1)
      start = (to or 0) + 1
   until not from
   return function(id) return table.concat(pieces, id) end
end
