#!/usr/bin/env bash
# The program for Windows, made and tested on Linux.
#   windows.sh build          bin/windows/histdist.exe, with the fast CPU device, by MinGW's compiler
#   windows.sh test [FLAGS]   the tests of the packages that deal with the operating system, in Wine; FLAGS are go test's
#   windows.sh run EXE …      a program made by Go in Wine
# Each says which package is missing. Environment: GO, VERSION, WINE (wine64 or wine), PACKAGES (to test).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
go=${GO:-go}
CC=x86_64-w64-mingw32-gcc

say() { echo "windows: $*" >&2; }

compiler() { command -v $CC >/dev/null || { say "$CC is missing: apt-get install gcc-mingw-w64-x86-64"; exit 1; }; }

# Sets wine, and makes its folder of Windows' drives. Go's programs take random numbers from a library that Wine has
# from 8.8 on, and Debian 12 has 8.0.
prepare() {
	local name random
	for name in ${WINE:-wine64 wine /usr/lib/wine/wine64}; do
		if wine=$(command -v "$name"); then break; fi
	done
	[ -n "$wine" ] || { say "Wine is missing: apt-get install wine64"; exit 1; }
	export WINEPREFIX=${WINEPREFIX:-$here/bin/wine} WINEDEBUG=${WINEDEBUG:--all}
	mkdir -p "$here/bin"
	random=$WINEPREFIX/drive_c/windows/system32/bcryptprimitives.dll
	[ -d "$WINEPREFIX/drive_c" ] || "$wine" cmd /c ver >/dev/null
	[ -e "$random" ] || {
		compiler
		$CC -shared -o "$random" -x c - <<-'END'
			#include <windows.h>
			#include <ntsecapi.h>
			__declspec(dllexport) BOOL WINAPI ProcessPrng(BYTE *data, SIZE_T n) { return RtlGenRandom(data, (ULONG)n); }
		END
	}
}

case ${1:-} in
build)
	compiler
	cd "$here"
	mkdir -p bin/windows
	GOOS=windows GOARCH=amd64 CGO_ENABLED=1 CC=$CC "$go" build -trimpath -buildvcs=false \
		-ldflags "-s -w -X main.version=${VERSION:-devel}" -o bin/windows/histdist.exe ./cmd/histdist
	say "built bin/windows/histdist.exe ${VERSION:-devel}"
	;;
test)
	shift
	compiler
	prepare
	cd "$here"
	if [ -n "${HISTDIST_GOLDEN:-}" ]; then export HISTDIST_GOLDEN=Z:$HISTDIST_GOLDEN; fi
	packages=${PACKAGES:-"./internal/... ./graph/device/internal/cpu ./graph/weights ./graph/model/... ./data/...
		./infer/... ./train ./cmd/histdist"}
	# shellcheck disable=SC2086 # they are several
	GOOS=windows GOARCH=amd64 CGO_ENABLED=1 CC=$CC "$go" test -exec "$here/scripts/windows.sh run" "$@" $packages
	;;
run)
	shift
	prepare
	# Wine 8 says of Windows 10's way to remove a file that it is "not implemented" (0xC0000002). Go's os.RemoveAll only has
	# another way where it is "not supported" (0xC00000BB): a copy of the program with the one number for the other.
	copy=$(mktemp --suffix=.exe)
	trap 'rm -f "$copy"' EXIT
	perl -0777 -pe 's/[\x03\x0d]\0\0\xc0\K\xbb(?=\0\0\xc0)/\x02/g' "$1" >"$copy"
	shift
	"$wine" "$copy" "$@"
	;;
*)
	sed -n '2,6s/^# //p' "$0" >&2
	exit 2
	;;
esac
