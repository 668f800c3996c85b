-- SPDX-License-Identifier: Apache-2.0
-- wrk's script: sends the requests of a file in turn and prints one line of JSON about them. When it has read the file it says
-- "ready" on standard error: the clock starts then.
-- Each line of the file is: method, path, value of the Authorization header (or "-"), separated by tabs.

-- wrk asks for one request that it doesn't send, before the first that it does.
local requests, position, the_thread = {}, -1, nil

-- Seen by `done` through the thread, which has a Lua of its own.
unwanted = 0

function setup(thread)
  the_thread = thread
end

function init(arguments)
  local posts = false
  for line in io.lines(arguments[1]) do
    local method, path, authorization = line:match("^(%S+)\t(%S+)\t(.+)$")
    local headers = {
      ["Accept"] = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, application/json"
    }
    if authorization ~= "-" then headers["Authorization"] = authorization end
    if method == "POST" then
      headers["Content-Length"] = "0"
      posts = true
    end
    requests[#requests + 1] = wrk.format(method, path, headers)
  end
  if posts then
    -- A mount that is answered by a new upload (202) is no mount. Reading is looked at by wrk itself, which costs less.
    function response(status)
      if status ~= 201 then unwanted = unwanted + 1 end
    end
  end
  io.stderr:write("ready\n")
end

function request()
  position = position % #requests + 1
  return requests[position]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"requests": %d, "seconds": %.6f, "p50_ms": %.3f, "p99_ms": %.3f, "refused": %d, "broken": %d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1000, latency:percentile(99) / 1000,
    errors.status + the_thread:get("unwanted"), errors.connect + errors.read + errors.write + errors.timeout))
end
