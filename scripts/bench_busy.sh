#!/bin/bash
# Times a translation with the model in the binary next to other processes, several binaries in turn:
#   scripts/bench_busy.sh HISTDIST…
# Medians of RUNS (5); THREADS ("2 1"); COMPETE ("0 1 2") processes that only compute; STEPS (100) each way.
# A row has seconds (seconds of processor time) × the first row's time with as many threads.
set -eu
if [ $# = 0 ]; then
	sed -n '2,5s/^# \{0,1\}//p' "$0" >&2
	exit 2
fi
RUNS=${RUNS:-5} THREADS=${THREADS:-2 1} COMPETE=${COMPETE:-0 1 2} STEPS=${STEPS:-100}

work=$(mktemp -d) others=()
stop_others() {
	for p in "${others[@]}"; do kill "$p" 2>/dev/null || true; done
	wait 2>/dev/null || true
	others=()
}
trap 'stop_others; rm -rf "$work"' EXIT
median() { sort -n | awk '{ v[NR] = $1 } END { print (v[int((NR + 1) / 2)] + v[int((NR + 2) / 2)]) / 2 }'; }

timeout 600 "$1" demo --out "$work/demo" >/dev/null 2>&1
printf '%-8s %-8s' threads others
printf ' %-28s' "$@"
echo
for threads in $THREADS; do
	for compete in $COMPETE; do
		for ((i = 0; i < compete; i++)); do
			timeout 3600 awk 'BEGIN { while (1) n++ }' &
			others+=($!)
		done
		for ((run = 0; run < RUNS; run++)); do
			n=0
			for binary in "$@"; do
				TIMEFORMAT='%R %U %S'
				{ time timeout 600 "$binary" translate --model "$work/demo/model" --input "$work/demo/he.png" \
					--output "$work/out.png" --overwrite --threads "$threads" --steps-inversion "$STEPS" --steps-translation "$STEPS" >/dev/null 2>"$work/log"; } \
					2>>"$work/times-$threads-$compete-$n" || { cat "$work/log" >&2; exit 1; }
				n=$((n + 1))
			done
		done
		stop_others
		printf '%-8s %-8s' "$threads" "$compete"
		for ((n = 0; n < $#; n++)); do
			f=$work/times-$threads-$compete-$n
			seconds=$(awk '{ print $1 }' "$f" | median) processor=$(awk '{ print $2 + $3 }' "$f" | median)
			[ -e "$work/first-$threads-$n" ] || echo "$seconds" >"$work/first-$threads-$n"
			awk -v s="$seconds" -v p="$processor" -v first="$(cat "$work/first-$threads-$n")" \
				'BEGIN { printf " %-28s", sprintf("%.2f (%.2f) × %.2f", s, p, s / first) }'
		done
		echo
	done
done
