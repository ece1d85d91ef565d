#!/usr/bin/env bash
# Runs the part of virtual-stain.groovy that knows nothing of QuPath against a server, for `make qupath-check`, with
# Groovy 4 and Gson, as QuPath 0.5 and 0.6 have them. Maven fetches the two once, into bin/groovy. It is left out, and
# says so, where there is no Java, no Maven or no registry; QUPATH_CHECK_REQUIRED=1 makes that a failure.
# Arguments go to the test: -rewrite writes testdata/traffic.json anew.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
folder=$PWD/bin/groovy

skip() {
	echo "SKIPPED: the script for QuPath: $*" >&2
	[ -z "${QUPATH_CHECK_REQUIRED:-}" ] || exit 1
	exit 0
}

for program in java mvn; do
	command -v $program >/dev/null || skip "$program is missing: apt-get install default-jre-headless maven"
done
for artifact in org.apache.groovy:groovy:4.0.33 com.google.code.gson:gson:2.10.1; do
	IFS=: read -r _ name version <<<"$artifact"
	[ -e "$folder/$name-$version.jar" ] ||
		mvn -q -B dependency:copy -Dartifact="$artifact" -DoutputDirectory="$folder" >&2 ||
		skip "Maven can't fetch $artifact (above)"
done
HISTDIST_GROOVY="$folder/*" exec go test ./docs -run TestScriptForQuPath -count 1 -v -args "$@"
