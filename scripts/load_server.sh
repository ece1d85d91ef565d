#!/bin/bash
# Loads `histdist serve`, with the demonstration, on this machine's loopback, and prints what it takes meanwhile:
#   scripts/load_server.sh HISTDIST
# REQUESTS (100000) of tiles, half of them of parts that no cache has; JOBS (200) of the smallest regions, of whose
# results every second is deleted; and CASES (10000) that schemathesis derives from the document of the interface, if
# SCHEMATHESIS names its program (pip install schemathesis). 0 leaves a part out. Needs wrk and curl; CLIENTS (32) ask
# at the same time; SERVE has more flags of histdist serve.
set -eu
if [ $# -lt 1 ]; then
	sed -n '2,7s/^# \{0,1\}//p' "$0" >&2
	exit 2
fi
REQUESTS=${REQUESTS:-100000} JOBS=${JOBS:-200} CASES=${CASES:-10000} CLIENTS=${CLIENTS:-32}
for tool in wrk curl; do
	command -v "$tool" >/dev/null || { echo "$tool is missing: apt-get install $tool" >&2; exit 1; }
done

work=$(mktemp -d) server='' loader=''
stop() {
	kill $loader $server 2>/dev/null || true
	wait 2>/dev/null || true
	rm -rf "$work"
}
trap stop EXIT
port=$((20000 + RANDOM % 20000))
url=http://127.0.0.1:$port api=http://127.0.0.1:$port/api/v1
"$1" serve --state "$work/state" --address "127.0.0.1:$port" ${SERVE:-} >/dev/null 2>"$work/log" &
server=$!
until curl -sf -o "$work/slides" "$api/slides"; do
	kill -0 "$server" 2>/dev/null || { cat "$work/log" >&2; exit 1; }
	sleep 0.05
done
first() { grep -o "\"$1\":\"*[^\",}]*" | head -n 1 | sed 's/.*:"*//'; }
id=$(first id <"$work/slides") width=$(first width <"$work/slides") height=$(first height <"$work/slides")
model=$(curl -sf "$api/models" | first id)

# value NAME: the sum of a metric over its labels, of the last report.
value() {
	awk -v name="$1" '$1 == name || index($1, name "{") == 1 { n += $2 } END { printf "%.0f", n }' "$work/metrics"
}
report() { # WHAT
	curl -sf -o "$work/metrics" "$url/metrics" || { tail -n 20 "$work/log" >&2; exit 1; }
	awk -v what="$1" -v rss="$(value process_resident_memory_bytes)" -v heap="$(value go_memstats_heap_alloc_bytes)" \
		-v tiles="$(value histdist_tiles_bytes)" -v files="$(value process_open_fds)" -v routines="$(value go_goroutines)" \
		'BEGIN { printf "%-16s RSS %6.0f MB   heap %6.0f MB   tiles kept %6.1f MB   %3d files   %4d goroutines\n",
			what, rss / 1e6, heap / 1e6, tiles / 1e6, files, routines }'
}
report start

if [ "$REQUESTS" -gt 0 ]; then
	cat >"$work/load.lua" <<'LUA'
local id, width, height
function init(args)
	math.randomseed(1)
	id, width, height = args[1], tonumber(args[2]), tonumber(args[3])
end
function request()
	if math.random(2) == 1 then
		return wrk.format("GET", "/api/v1/images/" .. id .. "_files/10/" .. math.random(0, math.floor(width / 512) - 1) ..
			"_" .. math.random(0, math.floor(height / 512) - 1) .. ".jpg")
	end
	return wrk.format("GET", "/api/v1/iiif/" .. id .. "/" .. math.random(0, width - 256) .. "," ..
		math.random(0, height - 256) .. ",256,256/max/0/default.jpg")
end
LUA
	wrk -t 1 -c "$CLIENTS" -d 3600s --timeout 60s -s "$work/load.lua" "$url" -- "$id" "$width" "$height" \
		>"$work/wrk" 2>&1 &
	loader=$!
	for ((next = 5000; next <= REQUESTS; next += 5000)); do
		until curl -sf -o "$work/metrics" "$url/metrics" &&
			[ "$(value histdist_http_request_seconds_count)" -ge "$next" ]; do
			kill -0 "$loader" "$server" || { cat "$work/wrk" "$work/log" >&2; exit 1; }
			sleep 0.1
		done
		report "$next requests"
	done
	kill -INT "$loader" && wait "$loader" || true
	loader=''
	grep -E 'Non-2xx|Socket errors' "$work/wrk" || true
fi

for ((n = 0; n < JOBS; n += 20)); do
	jobs=()
	for ((i = n; i < n + 20; i++)); do
		region="{\"x\":$((i % 50 * 16)),\"y\":$((i % 30 * 16)),\"width\":64,\"height\":64}"
		curl -sf -o "$work/job" -H 'Content-Type: application/json' "$api/jobs" \
			-d "{\"slide\":\"$id\",\"model\":\"$model\",\"tissue\":\"all\",\"seed\":$i,\"region\":$region}"
		jobs+=("$(first id <"$work/job")")
	done
	until curl -sf "$api/health" | grep -q '"queued":0,"running":0'; do sleep 0.1; done
	for ((i = 0; i < 20; i++)); do
		curl -sf -o /dev/null "$api/images/${jobs[i]}_files/10/0_0.jpg"
		[ $((i % 2)) = 0 ] || curl -sf -X DELETE "$api/jobs/${jobs[i]}"
	done
	report "$((n + 20)) jobs"
done

if [ "$CASES" -gt 0 ] && [ -n "${SCHEMATHESIS:-}" ]; then
	# The phases coverage and fuzzing make some 26 requests for each of n examples. 503 is a full queue or disk.
	printf '[checks.not_a_server_error]\nexpected-statuses = ["2xx", "3xx", "4xx", 503]\n' >"$work/schemathesis.toml"
	program=$(realpath "$SCHEMATHESIS")
	cd "$work" # where it leaves files
	"$program" --config-file schemathesis.toml run "$api/openapi.json" --phases coverage,fuzzing \
		-n $((CASES / 26 + 1)) -c not_a_server_error --continue-on-failure --no-shrink --generation-database none \
		--request-timeout 60 ${MAX_TIME:+--max-time "$MAX_TIME"} --no-color >cases 2>&1 ||
		{ tail -n 100 cases >&2; exit 1; }
	tail -n 12 cases
	report "$CASES cases"
fi
