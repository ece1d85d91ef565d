#!/usr/bin/env bash
# Builds the program, without C, for the systems that are named, or for all that it is made for, and checks the packages
# for Windows and macOS, tests included.
#   cross.sh [windows/amd64 …]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
go=${GO:-go}
[ $# -gt 0 ] || set -- linux/amd64 linux/arm64 darwin/arm64 darwin/amd64 windows/amd64
export CGO_ENABLED=0
for system; do
	export GOOS=${system%/*} GOARCH=${system#*/}
	echo "go build for $system"
	"$go" build -o /dev/null ./cmd/histdist
	case $system in
	windows/amd64 | darwin/arm64)
		echo "go vet for $system"
		"$go" vet ./...
		;;
	esac
done
