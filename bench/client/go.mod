module longshore.dev/bench/bench-client

go 1.25
