#!/usr/bin/env bash
# Checks what a build needs and prints the CGO_ENABLED to build with: 1 with a working C compiler, else 0.
# As root on a machine with apt it installs a missing C compiler; elsewhere it names the package to install.
# Everything but that one digit goes to standard error. Environment: GO, CC, CGO_ENABLED=0 (ask for a build without C).
set -euo pipefail

say() { echo "deps: $*" >&2; }

go=${GO:-go}
if ! command -v "$go" >/dev/null; then
	say "Go is missing: https://go.dev/dl, or"
	say "  Debian, Ubuntu: apt-get install golang    Fedora: dnf install golang    Alpine: apk add go    macOS: brew install go"
	say "(an older Go fetches the version that go.mod asks for by itself, from 1.21 on)"
	exit 1
fi

if [ "${CGO_ENABLED:-1}" = 0 ]; then
	echo 0
	exit
fi

# A compiler without the C library's headers (gcc without libc6-dev) fails here too.
compiles() {
	printf '#include <math.h>\n#include <pthread.h>\n#include <stdlib.h>\nint main(void) { return 0; }\n' |
		"$@" -x c -pthread -o /dev/null - >/dev/null 2>&1
}

read -ra cc <<<"$("$go" env CC)" # CC may carry flags: "ccache gcc"
if ! compiles "${cc[@]}" && [ -z "${CC:-}" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
	say "no working C compiler (${cc[*]}): installing gcc and libc6-dev"
	export DEBIAN_FRONTEND=noninteractive
	{ apt-get update -q && apt-get install -q -y --no-install-recommends gcc libc6-dev; } >&2 || say "apt-get failed"
fi
if compiles "${cc[@]}"; then
	echo 1
	exit
fi

say "no working C compiler (${cc[*]}): building WITHOUT the fast CPU device; only the slow reference device is in."
say "For the fast one install a compiler, or set CC to one you have:"
say "  Debian, Ubuntu: apt-get install gcc libc6-dev    Fedora: dnf install gcc glibc-devel    Alpine: apk add gcc musl-dev    macOS: xcode-select --install, or brew install gcc"
echo 0
