#!/bin/bash
# Times the tiles of `histdist serve` on this machine's loopback, alone and while it translates the slide:
#   scripts/bench_tiles.sh HISTDIST [SLIDE [PYTHON]]
# Needs wrk and curl. Without SLIDE it is the demonstration's. PYTHON, which has openslide-python, flask and gunicorn,
# times their Deep Zoom server, too. CLIENTS (32) connections for SECONDS_EACH (20); PRESET (paper) of the translation;
# SERVE has more flags of histdist serve.
set -eu
if [ $# -lt 1 ]; then
	sed -n '2,6s/^# \{0,1\}//p' "$0" >&2
	exit 2
fi
binary=$1 slide=${2:+$(realpath "$2")} python=${3:-}
CLIENTS=${CLIENTS:-32} SECONDS_EACH=${SECONDS_EACH:-20} PRESET=${PRESET:-paper}
for tool in wrk curl; do
	command -v "$tool" >/dev/null || { echo "$tool is missing: apt-get install $tool" >&2; exit 1; }
done

work=$(mktemp -d) running=() slides=()
stop() {
	for p in "${running[@]}"; do kill "$p" 2>/dev/null || true; done
	wait 2>/dev/null || true
	rm -rf "$work"
}
trap stop EXIT
if [ -n "$slide" ]; then
	mkdir "$work/slides"
	ln "$slide" "$work/slides/" 2>/dev/null || cp "$slide" "$work/slides/"
	slides=(--slides "$work/slides")
fi

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

wait_for() { # URL FILE
	for ((i = 0; i < 6000; i++)); do
		curl -sf -o "$2" "$1" && return
		sleep 0.01
	done
	echo "nothing answers at $1:" >&2
	cat "$work"/log* >&2
	exit 1
}
now() { date +%s.%N; }
first_id() { grep -o '"id":"[^"]*"' | head -n 1 | cut -d '"' -f 4; }

port=$((20000 + RANDOM % 20000)) url=http://127.0.0.1
serve() {
	"$binary" serve "${slides[@]}" --state "$work/state" --address "127.0.0.1:$port" ${SERVE:-} >/dev/null 2>"$work/log" &
	server=$!
	running+=("$server")
}

# The first start makes the demonstration's slide, and says the slide's identifier, which the second asks for at once.
serve
wait_for "$url:$port/api/v1/slides" "$work/list"
id=$(first_id <"$work/list")
kill "$server" && wait "$server" || true
port=$((port + 1)) begin=$(now)
serve
wait_for "$url:$port/api/v1/images/${id}_files/0/0_0.jpg" "$work/tile"
awk -v a="$begin" -v b="$(now)" 'BEGIN { printf "%-46s %8.2f s\n", "from the start to the first tile", b - a }'

api=$url:$port/api/v1
curl -sf "$api/images/$id.dzi" >"$work/dzi"
width=$(grep -o 'Width="[0-9]*"' "$work/dzi" | tr -dc 0-9) height=$(grep -o 'Height="[0-9]*"' "$work/dzi" | tr -dc 0-9)
level=$(awk -v m=$((width > height ? width : height)) 'BEGIN { n = 0; while (2 ^ n < m) n++; print n }')
# At most 2000 tiles, each of which is fetched once before the timing: all come from memory.
for ((y = 0; y < height / 256; y++)); do
	for ((x = 0; x < width / 256; x++)); do echo "/api/v1/images/${id}_files/$level/${x}_$y.jpg"; done
done | shuf -n 2000 >"$work/ours"
sed "s|.*|url=$url:$port&\noutput=/dev/null|" "$work/ours" | curl -sf -K -
echo "slide: $width × $height pixels, $(wc -l <"$work/ours") tiles; $CLIENTS clients on $(nproc) cores"

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
regions() { time_it "$1" "$work/regions.lua" "$url:$port" -- "/api/v1/iiif/$id/" "$width" "$height"; }
ours() { time_it "$1" "$work/tiles.lua" "$url:$port" -- "$work/ours"; }
ours "histdist, from memory"
regions "histdist, made for each request"

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
		running+=("$other")
		wait_for "$url:$port/slide_files/0/0_0.jpeg" /dev/null
		sed "s|^/api/v1/images/${id}_files|/slide_files|; s|jpg$|jpeg|" "$work/ours" >"$work/theirs"
		time_it "openslide-python, $how" "$work/tiles.lua" "$url:$port" -- "$work/theirs"
		kill "$other" && wait "$other" 2>/dev/null || true
	done
	port=$((port - 2))
	regions "histdist, made for each request, again"
fi

# So many jobs that they don't end meanwhile: the next begins where one is done.
model=$(curl -sf "$api/models" | first_id)
for seed in {1..20}; do
	curl -sf -H 'Content-Type: application/json' "$api/jobs" -o "$work/job" -d "{\"slide\":\"$id\",\"model\":\"$model\",
		\"preset\":\"$PRESET\",\"tissue\":\"all\",\"seed\":$seed}"
done
of=$(grep -o '"of":[0-9]*' "$work/job" | tr -dc 0-9)
calls() { # of the U-Net, of all jobs
	curl -sf "$api/jobs" | grep -o '"progress":{"calls":[0-9]*' | tr -dc '0-9\n' | awk '{ n += $1 } END { print n + 0 }'
}
# during NAME COMMAND…: the progress of the translation meanwhile.
during() {
	local name=$1 before after begin
	shift
	begin=$(now) before=$(calls)
	"$@"
	after=$(calls)
	awk -v name="  translation, $name" -v a="$begin" -v b="$(now)" -v from="$before" -v to="$after" -v of="$of" 'BEGIN {
		printf "%-46s %8.1f U-Net calls/s   %d before, %d after, of %d for each job\n",
			name, (to - from) / (b - a), from, to, of
	}'
}
until [ "$(calls)" -gt 0 ]; do
	curl -sf "$api/jobs?state=failed" >"$work/failed"
	grep -o '"error":"[^"]*"' "$work/failed" >&2 && exit 1
	sleep 0.1
done
during "alone" sleep "$SECONDS_EACH"
during "next to tiles from memory" ours "histdist, from memory, translating"
during "next to tiles that are made" regions "histdist, made for each request, translating"
if [ "$(calls)" -ge $((20 * of)) ]; then
	echo "the translation has ended too early: choose a slower PRESET or fewer SECONDS_EACH" >&2
	exit 1
fi
