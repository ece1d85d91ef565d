#!/usr/bin/env bash
# Builds the program, without C, for every system that it is made for, and checks the packages for Windows and macOS,
# tests included.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
go=${GO:-go}
export CGO_ENABLED=0
for system in linux/amd64 linux/arm64 darwin/arm64 darwin/amd64 windows/amd64; do
	echo "$system"
	GOOS=${system%/*} GOARCH=${system#*/} "$go" build -o /dev/null ./cmd/histdist
done
for system in windows/amd64 darwin/arm64; do
	echo "go vet for $system"
	GOOS=${system%/*} GOARCH=${system#*/} "$go" vet ./...
done
