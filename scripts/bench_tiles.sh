#!/bin/bash
# Times the tiles of `histdist serve` on this machine's loopback, next to openslide-python's Deep Zoom server:
#   scripts/bench_tiles.sh HISTDIST SLIDE [PYTHON]
# Needs wrk and curl. PYTHON has openslide-python, flask and gunicorn; without one only histdist is timed.
# CLIENTS (32) connections for SECONDS_EACH (10); TRANSLATE=1 also times while the slide is translated; REQUESTS (0)
# tiles are asked for at last, 100000 to see whether memory grows. SERVE has more flags of histdist serve.
set -eu
if [ $# -lt 2 ]; then
	sed -n '2,6s/^# \{0,1\}//p' "$0" >&2
	exit 2
fi
binary=$1 slide=$(realpath "$2") python=${3:-}
CLIENTS=${CLIENTS:-32} SECONDS_EACH=${SECONDS_EACH:-10} TRANSLATE=${TRANSLATE:-0} REQUESTS=${REQUESTS:-0}

work=$(mktemp -d) running=()
stop() {
	for p in "${running[@]}"; do kill "$p" 2>/dev/null || true; done
	wait 2>/dev/null || true
	rm -rf "$work"
}
trap stop EXIT
mkdir "$work/slides"
ln "$slide" "$work/slides/" 2>/dev/null || cp "$slide" "$work/slides/"

# A request of wrk is one of paths.txt, or a region of 256 pixels at a random place, which no cache has.
cat >"$work/tiles.lua" <<'LUA'
local paths = {}
function init(args)
	math.randomseed(tonumber(tostring({}):sub(8), 16) or 1)
	for line in io.lines(args[1]) do paths[#paths + 1] = line end
end
function request() return wrk.format("GET", paths[math.random(#paths)]) end
LUA
cat >"$work/regions.lua" <<'LUA'
local base, width, height
function init(args)
	math.randomseed(tonumber(tostring({}):sub(8), 16) or 1)
	base, width, height = args[1], tonumber(args[2]), tonumber(args[3])
end
function request()
	return wrk.format("GET", base .. math.random(0, width - 256) .. "," .. math.random(0, height - 256) ..
		",256,256/max/0/default.jpg")
end
LUA

paths() { # BASE LEVEL COLUMNS ROWS
	for ((y = 0; y < $4; y++)); do for ((x = 0; x < $3; x++)); do echo "$1/$2/${x}_$y.jpg"; done; done
}
wait_for() { until curl -sf -o "$2" "$1"; do sleep 0.01; done; }
now() { date +%s.%N; }

port=$((20000 + RANDOM % 20000)) url=http://127.0.0.1
serve() {
	local begin
	begin=$(now)
	"$binary" serve --slides "$work/slides" --state "$work/state" --address "127.0.0.1:$port" ${SERVE:-} >/dev/null 2>"$work/log" &
	running+=($!)
	server=$!
	if [ "${1:-}" = cold ]; then
		wait_for "$url:$port/api/v1/images/${id}_files/0/0_0.jpg" "$work/tile"
		awk -v a="$begin" -v b="$(now)" 'BEGIN { printf "%-46s %8.2f s\n", "from the start to the first tile", b - a }'
	else
		wait_for "$url:$port/api/v1/health" /dev/null
	fi
}
memory() { awk '/^VmRSS/ { printf "%.0f MB", $2 / 1024 }' "/proc/$server/status"; }

serve
curl -sf "$url:$port/api/v1/slides" >"$work/list"
id=$(grep -o '"id":"[^"]*"' "$work/list" | head -n 1 | cut -d '"' -f 4)
kill "$server" && wait "$server" || true
port=$((port + 1))
serve cold
curl -sf "$url:$port/api/v1/images/$id.dzi" >"$work/dzi"
width=$(grep -o 'Width="[0-9]*"' "$work/dzi" | tr -dc 0-9) height=$(grep -o 'Height="[0-9]*"' "$work/dzi" | tr -dc 0-9)
level=$(awk -v m=$((width > height ? width : height)) 'BEGIN { n = 0; while (2 ^ n < m) n++; print n }')
paths "/api/v1/images/${id}_files" "$level" $((width / 256)) $((height / 256)) >"$work/ours"
echo "slide: $width × $height pixels, $(wc -l <"$work/ours") whole tiles; $CLIENTS clients on $(nproc) cores"

# time_it NAME SCRIPT URL ARGUMENTS…: a line of the table.
time_it() {
	local name=$1
	shift
	wrk -t 1 -c "$CLIENTS" -d "${SECONDS_EACH}s" --timeout 20s --latency -s "$@" >"$work/out" 2>&1 ||
		{ cat "$work/out" >&2; exit 1; }
	awk -v name="$name" '
		/^ *50%/ { p50 = $2 } /^ *99%/ { p99 = $2 } /^Requests\/sec/ { rate = $2 }
		/Non-2xx/ { bad = " NOT 200: " $NF } /Socket errors/ { bad = bad " " $0 }
		END { printf "%-46s %8.0f tiles/s   p50 %-9s p99 %-9s%s\n", name, rate, p50, p99, bad }' "$work/out"
}
iiif() { time_it "$1" "$work/regions.lua" "$url:$port" -- "/api/v1/iiif/$id/" "$width" "$height"; }
ours() { time_it "$1" "$work/tiles.lua" "$url:$port" -- "$work/ours"; }
iiif "histdist, made for each request"
ours "histdist, tiles"

if [ -n "$python" ]; then
	for how in flask gunicorn; do
		port=$((port + 1))
		if [ $how = flask ]; then
			"$python" scripts/bench_tiles_openslide.py "$slide" "$port" >/dev/null 2>"$work/log-$how" &
		else
			SLIDE=$slide "$python" -m gunicorn --chdir scripts --workers "$(nproc)" --threads 4 --bind "127.0.0.1:$port" \
				bench_tiles_openslide:app >/dev/null 2>"$work/log-$how" &
		fi
		other=$!
		running+=($other)
		wait_for "$url:$port/slide_files/0/0_0.jpeg" /dev/null
		sed "s|^/api/v1/images/${id}_files|/slide_files|; s|jpg$|jpeg|" "$work/ours" >"$work/theirs"
		time_it "openslide-python, $how" "$work/tiles.lua" "$url:$port" -- "$work/theirs"
		kill "$other" && wait "$other" 2>/dev/null || true
	done
	port=$((port - 2))
	iiif "histdist, made for each request, again"
fi

if [ "$TRANSLATE" = 1 ]; then
	model=$(curl -sf "$url:$port/api/v1/models" | grep -o '"id":"[^"]*"' | head -n 1 | cut -d '"' -f 4)
	curl -sf -H 'Content-Type: application/json' "$url:$port/api/v1/jobs" -o "$work/job" \
		-d "{\"slide\":\"$id\",\"model\":\"$model\",\"preset\":\"paper\",\"tissue\":\"all\"}"
	job=$(grep -o '"id":"[^"]*"' "$work/job" | head -n 1 | cut -d '"' -f 4)
	until curl -sf "$url:$port/api/v1/jobs/$job" | grep -q '"state":"running"'; do sleep 0.1; done
	sleep 5 # for the networks
	calls() { curl -sf "$url:$port/api/v1/jobs/$job" | grep -o '"progress":{"calls":[0-9]*' | tr -dc 0-9; }
	before=$(calls)
	sleep "$SECONDS_EACH"
	echo "translation alone: $((${before:-0} * -1 + $(calls))) U-Net calls in $SECONDS_EACH s"
	before=$(calls)
	iiif "histdist, made for each request, translating"
	ours "histdist, tiles, translating"
	echo "translation meanwhile: $((${before:-0} * -1 + $(calls))) U-Net calls in $((2 * SECONDS_EACH)) s"
	curl -sf -X DELETE "$url:$port/api/v1/jobs/$job"
fi

if [ "$REQUESTS" -gt 0 ]; then
	echo "memory: $(memory)"
	done_=0
	while [ "$done_" -lt "$REQUESTS" ]; do
		iiif "histdist, made for each request" >/dev/null
		done_=$((done_ + $(awk '/requests in/ { print $1 }' "$work/out")))
		ours "histdist, tiles" >/dev/null
		done_=$((done_ + $(awk '/requests in/ { print $1 }' "$work/out")))
		echo "memory after $done_ tiles: $(memory)"
	done
fi
