#!/usr/bin/env bash
# The page of `histdist serve` (internal/server/web), for `make web`, `web-check` and `web-test`:
#
#	scripts/web.sh build    builds internal/server/web/dist, which is committed
#	scripts/web.sh check    checks that dist is current, the types of its TypeScript, and the format
#	scripts/web.sh test     checks it, and tests it in Chromium with bin/histdist
#
# npm installs what internal/server/web/package-lock.json pins, once. `test` is left out, and says so, where there is no npm,
# no registry or no Chromium; WEB_TEST_REQUIRED=1 makes that a failure. As root on a machine with apt it installs Chromium.
# Environment: CHROMIUM (the browser), HISTDIST (the program).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
page=internal/server/web

say() { echo "web: $*" >&2; }

install() {
	if ! command -v npm >/dev/null; then
		say "npm is missing. Node.js 20 or later has it: https://nodejs.org, or"
		say "  Debian, Ubuntu: apt-get install npm    Fedora: dnf install nodejs-npm    macOS: brew install node"
		return 1
	fi
	cmp -s $page/package-lock.json $page/node_modules/.installed && return
	if ! (cd $page && npm ci --no-audit --no-fund --loglevel=error >&2); then
		say "npm can't install what $page/package-lock.json names (above)"
		return 1
	fi
	cp $page/package-lock.json $page/node_modules/.installed
}

browser() {
	local name
	for name in "${CHROMIUM:-}" chromium chromium-browser google-chrome google-chrome-stable; do
		if [ -n "$name" ] && command -v "$name"; then return; fi
	done
	return 1
}

skip() {
	if [ -n "${WEB_TEST_REQUIRED:-}" ]; then exit 1; fi
	echo "SKIPPED: the page's tests in a browser: $1; WEB_TEST_REQUIRED=1 makes this a failure"
	exit 0
}

case ${1:-} in
build)
	install
	npm --prefix $page run --silent build
	;;
check)
	install
	npm --prefix $page run --silent check
	;;
test)
	install || skip "npm or its packages are missing (above)"
	if ! browser >/dev/null && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
		say "no Chromium: installing it"
		export DEBIAN_FRONTEND=noninteractive
		{ apt-get update -q && apt-get install -q -y --no-install-recommends chromium fonts-dejavu-core; } >&2 || say "apt-get failed"
	fi
	npm --prefix $page run --silent check
	CHROMIUM=$(browser) || skip "Chromium is missing (Debian: apt-get install chromium)"
	export CHROMIUM
	npm --prefix $page run --silent test
	;;
*)
	say "build, check or test?"
	exit 2
	;;
esac
