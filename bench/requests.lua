-- SPDX-License-Identifier: Apache-2.0
-- wrk's script: sends the requests of a file in turn and prints one line of JSON about them.
-- Each line of the file is: method, path, value of the Authorization header (or "-"), separated by tabs.

local requests, position = {}, 0

function init(arguments)
  for line in io.lines(arguments[1]) do
    local method, path, authorization = line:match("^(%S+)\t(%S+)\t(.+)$")
    local headers = { ["Accept"] = "application/vnd.oci.image.manifest.v1+json" }
    if authorization ~= "-" then headers["Authorization"] = authorization end
    if method == "POST" then headers["Content-Length"] = "0" end
    requests[#requests + 1] = wrk.format(method, path, headers)
  end
end

function request()
  position = position % #requests + 1
  return requests[position]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"requests": %d, "seconds": %.6f, "bytes": %d, "p50_ms": %.3f, "p99_ms": %.3f, "refused": %d, "broken": %d}\n',
    summary.requests, summary.duration / 1e6, summary.bytes, latency:percentile(50) / 1000,
    latency:percentile(99) / 1000, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout))
end
