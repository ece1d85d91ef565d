#!/usr/bin/env bash
# Builds the program for arm64 Linux with Debian's cross compiler and tests it in an emulator.
#
#   arm64.sh tools   checks for the compiler and the emulator; as root on a machine with apt it installs them
#   arm64.sh loops   says what the loops of the matrix products are made of, and fails unless they are bound by fmla
#   arm64.sh short   loops, and the conformance suite of the CPU device with odd shapes
#   arm64.sh test    loops, the program, the whole suite, networks against the golden data, and `histdist demo`
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { echo "arm64: $*" >&2; }

go=${GO:-go}
prefix=aarch64-linux-gnu
packages=(gcc-$prefix libc6-dev-arm64-cross qemu-user)
emulator=(qemu-aarch64 -L "/usr/$prefix")

tools() {
	local missing=0 tool apt
	for tool in $prefix-gcc $prefix-objdump qemu-aarch64; do
		command -v "$tool" >/dev/null || missing=1
	done
	[ $missing = 0 ] && return
	if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
		say "installing ${packages[*]}"
		export DEBIAN_FRONTEND=noninteractive
		apt=(apt-get -q -y -o DPkg::Lock::Timeout=300)
		{ "${apt[@]}" update && "${apt[@]}" install --no-install-recommends "${packages[@]}"; } >&2 && return
	fi
	say "builds for arm64 need: apt-get install ${packages[*]}"
	return 1
}

# For each function, the innermost loop with the most multiplications: fmla, loads of vectors or their elements, what
# moves vectors about, and stores, which would be of accumulators that have no register.
loops() (
	object=$(mktemp)
	trap 'rm -f "$object"' EXIT
	$prefix-gcc -O3 -std=gnu11 -c -o "$object" graph/device/internal/cpu/isa_neon.c
	$prefix-objdump -d --no-show-raw-insn "$object" | awk '
		function number(hex,   i, n) {
			for (i = 1; i <= length(hex); i++)
				n = 16 * n + index("0123456789abcdef", substr(hex, i, 1)) - 1
			return n
		}
		function report(   best, first, last, i, l, m, loads, moves, stores) {
			for (l = 1; l <= nloops; l++) {
				first = from[l]; last = to[l]
				for (i = 1; i <= nloops; i++)
					if (i != l && from[i] >= first && to[i] <= last)
						break
				if (i > nloops && sum(first, last, "^fmla$") > best) {
					best = sum(first, last, "^fmla$")
					loads = sum(first, last, "^(ldr|ldur|ld1|ld1r)$") + 2 * sum(first, last, "^ldp$")
					moves = sum(first, last, "^(dup|mov|orr|ins)$")
					stores = sum(first, last, "^(str|stp|stur|st1)$")
				}
			}
			if (!best)
				return
			seen[wanted]++
			printf "%-24s %3d fmla, %2d loads, %d moves, %d stores\n", name, best, loads, moves, stores
			if (best < 2 * loads || moves || stores)
				bad = 1
		}
		function sum(first, last, what,   a, n) {
			for (a = first; a <= last; a += 4)
				if (op[a] ~ what)
					n++
			return n + 0
		}
		/^[0-9a-f]+ <.*>:$/ {
			if (name)
				report()
			name = substr($2, 2, length($2) - 3); wanted = name; sub(/\..*/, "", wanted)
			nloops = 0
			delete op
			if (wanted !~ /^(mm_row_strip6|mm_column_strip6|att_scores|att_accumulate|att_key_gradient)$/)
				name = ""
			next
		}
		name && /^ *[0-9a-f]+:/ {
			at = number(substr($1, 1, length($1) - 1))
			# Of general registers only the vector unit is of interest, and branches.
			if ($2 ~ /^b(\.|$)|^cbn?z|^tbn?z/) {
				for (i = 3; i <= NF && $i !~ /^</; i++)
					target = $i
				if (number(target) < at) {
					nloops++; from[nloops] = number(target); to[nloops] = at
				}
			} else if ($3 ~ /^\{?[qvsd][0-9]/)
				op[at] = $2
		}
		END {
			if (name)
				report()
			for (i = split("mm_row_strip6 mm_column_strip6 att_scores att_accumulate att_key_gradient", names, " "); i; i--)
				if (!seen[names[i]]) {
					print "no loop of " names[i]
					bad = 1
				}
			exit bad
		}'
)

# Runs the tests of packages: go test's arguments.
emulate() {
	GOARCH=arm64 CGO_ENABLED=1 CC=$prefix-gcc "$go" test -timeout 60m -exec "${emulator[*]}" "$@"
}

short() {
	loops
	emulate ./internal/hostinfo
	emulate ./graph/device/internal/cpu -rapid.checks=6 -run 'TestConformance/contract|TestConformance/.*/.*/odd$'
}

full() {
	local work name
	work=$(mktemp -d)
	# shellcheck disable=SC2064 # work is gone at the end
	trap "rm -rf '$work'" EXIT
	loops
	GOARCH=arm64 CGO_ENABLED=1 CC=$prefix-gcc "$go" build -trimpath -buildvcs=false -o "$work/histdist" ./cmd/histdist
	"${emulator[@]}" "$work/histdist" doctor --quick | tee "$work/doctor"
	grep -q 'device cpu.*neon' "$work/doctor"
	emulate ./internal/hostinfo ./internal/pillow ./graph/rng ./graph/schedule
	emulate ./graph/device/internal/cpu -skip '^TestPool$' # it would start a program for arm64 without the emulator
	$prefix-gcc -O2 -std=gnu11 -o "$work/pool" graph/device/internal/cpu/testdata/pool_stress.c -lpthread
	for name in many late held idle; do
		"${emulator[@]}" "$work/pool" "$name"
	done
	emulate ./graph ./graph/unet ./graph/vae ./graph/clip ./graph/vit
	"${emulator[@]}" "$work/histdist" demo --output "$work/demo"
}

case ${1:-} in
tools) tools ;;
loops) loops ;;
short) short ;;
test) full ;;
*)
	sed -n '2,7s/^# \?//p' "${BASH_SOURCE[0]}" >&2
	exit 2
	;;
esac
