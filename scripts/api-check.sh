#!/usr/bin/env bash
# Prints the incompatible changes of the public packages (docs/go-api.md) since the last tag: make api-check.
#
#   scripts/api-check.sh APIDIFF [TAG]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
module=$(go list -m)
apidiff=$PWD/$1
tag=${2:-$(git describe --tags --abbrev=0 --match 'v*' 2>/dev/null || true)}
if [ -z "$tag" ]; then
	echo "api-check: there is no tag v… yet, or the clone lacks it (git fetch --tags): nothing to compare with"
	exit 0
fi
old=$(mktemp -d) && trap 'rm -rf "$old"' EXIT
git archive "$tag" | tar -x -C "$old"
# apidiff leaves out internal packages and says so of each; its messages are of interest if it fails.
quietly() { "$@" 2>"$old/messages" || { grep -v '^Ignoring internal' "$old/messages" >&2; return 1; }; }
(cd "$old" && quietly "$apidiff" -m -w "$old/exported" "$module")
quietly "$apidiff" -m -incompatible "$old/exported" "$module" >"$old/changes"
if grep -vE '^- \./(cmd|configs|experiments)[/.]' "$old/changes"; then
	echo "api-check: $tag had these. A patch version must not change them; for a minor version CHANGELOG.md says what to write instead"
else
	echo "api-check: compatible with $tag"
fi
