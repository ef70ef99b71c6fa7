-- wrk: POST requests with an id in the JSON. The headers are built once, so the load generator leaves CPU time to the
-- server.
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"

-- Returns a function that builds a request. The function replaces each @ in the body by the 32 digits of an id.
-- Call it in init.
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
