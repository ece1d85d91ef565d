#!/usr/bin/env bash
# The program for Windows, made and tested on Linux.
#   windows.sh build          bin/windows/histdist.exe, with the fast CPU device, by MinGW's compiler
#   windows.sh test [FLAGS]   under Wine, the tests of the packages that deal with the operating system; FLAGS are go test's
# Both say which package is missing. Environment: GO, VERSION, WINE (wine64 or wine), PACKAGES (to test).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { echo "windows: $*" >&2; }

# What tests of these packages ask of the system Wine can do.
packages=${PACKAGES:-"./internal/... ./graph/device/internal/cpu ./graph/weights ./graph/model/... ./data/... ./infer/...
	./train ./cmd/histdist"}

export GOOS=windows GOARCH=amd64 CGO_ENABLED=1 CC=x86_64-w64-mingw32-gcc
command -v $CC >/dev/null || { say "$CC is missing: apt-get install gcc-mingw-w64-x86-64"; exit 1; }
go=${GO:-go}

case ${1:-} in
build)
	mkdir -p bin/windows
	"$go" build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=${VERSION:-devel}" -o bin/windows/histdist.exe \
		./cmd/histdist
	say "built bin/windows/histdist.exe ${VERSION:-devel}"
	;;
test)
	shift
	for wine in ${WINE:-wine64 wine /usr/lib/wine/wine64}; do
		if wine=$(command -v "$wine"); then break; fi
	done
	[ -n "$wine" ] || { say "Wine is missing: apt-get install wine64"; exit 1; }
	export WINEPREFIX=${WINEPREFIX:-$PWD/bin/wine} WINEDEBUG=${WINEDEBUG:--all}
	# shellcheck disable=SC2086 # they are several
	"$go" test -exec "$wine" "$@" $packages
	;;
*)
	sed -n '2,5s/^# //p' "$0" >&2
	exit 2
	;;
esac
