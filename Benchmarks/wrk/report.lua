-- wrk: prints the results as one line of JSON. Used alone, it repeats the request of the command line.
local threads = {}

function setup(thread)
   threads[#threads + 1] = thread
end

function done(summary, latency)
   local errors = summary.errors
   local finished = 0 -- counted by the script, such as complete checkouts
   for _, thread in ipairs(threads) do
      finished = finished + (thread:get("finished") or 0)
   end
   io.write(string.format(
      'RESULT {"requests": %d, "seconds": %.6f, "not_2xx": %d, "socket_errors": %d, "finished": %d, '
         .. '"p50": %.3f, "p90": %.3f, "p99": %.3f, "p99.9": %.3f}\n',
      summary.requests, summary.duration / 1e6, errors.status,
      errors.connect + errors.read + errors.write + errors.timeout, finished,
      latency:percentile(50) / 1e3, latency:percentile(90) / 1e3, latency:percentile(99) / 1e3,
      latency:percentile(99.9) / 1e3))
end
