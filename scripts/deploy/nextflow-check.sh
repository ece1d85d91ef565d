#!/usr/bin/env bash
# Runs the Nextflow module's stub, and then the pipeline over a few synthetic images and a slide, whose stains it compares
# with those of the program by itself, byte by byte:
#
#   scripts/deploy/nextflow-check.sh FOLDER
#
# HISTDIST names the program and NEXTFLOW Nextflow's; without that, Nextflow comes from Maven Central, run by java. The
# module's test for nf-test is in its folder.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
histdist=$(realpath "${HISTDIST:-$here/../../bin/histdist}")
mkdir -p "$1" && cd "$1"
version=24.10.0

nextflow() {
	if [ -n "${NEXTFLOW:-}" ]; then
		"$NEXTFLOW" "$@"
		return
	fi
	if [ ! -e nextflow/lib ]; then
		mkdir -p nextflow
		cat >nextflow/pom.xml <<-END
			<project xmlns="http://maven.apache.org/POM/4.0.0">
			<modelVersion>4.0.0</modelVersion><groupId>x</groupId><artifactId>x</artifactId><version>1</version>
			<dependencies><dependency>
			<groupId>io.nextflow</groupId><artifactId>nextflow</artifactId><version>$version</version>
			</dependency></dependencies></project>
		END
		mvn -q -B -f nextflow/pom.xml dependency:copy-dependencies -DoutputDirectory=lib
	fi
	local open=() name
	for name in java.lang java.io java.nio java.net java.util java.util.concurrent sun.nio.ch sun.nio.fs; do
		open+=("--add-opens=java.base/$name=ALL-UNNAMED")
	done
	NXF_OFFLINE=true NXF_HOME=$PWD/nextflow/home \
		java "${open[@]}" -cp "$PWD/nextflow/lib/*" nextflow.cli.Launcher "$@"
}

# run OUTPUT INPUT OPTIONS…
run() {
	local output=$1 input=$2
	shift 2
	rm -rf "$output"
	nextflow -c small.config run "$here/nextflow" -ansi-log false --input "$input" --outdir "$output" "$@"
}

mkdir -p bin && ln -sf "$histdist" bin/histdist && export PATH=$PWD/bin:$PATH
[ -e tissue ] || histdist data synth --output tissue --pairs 3 --val-pairs 0 --size 64
[ -e slide ] || histdist data synth --output slide --slide 384x320 --islands 1
echo 'process.resourceLimits = [cpus: 1, memory: 4.GB, time: 1.h]' >small.config

run stub 'tissue/TrainValAB/trainA/*.jpg' -stub
test "$(find stub -name '*.png' -empty | wc -l)" = 3
grep -q 'histdist: stub' work/*/*/versions.yml

images=(--preset fast) slides=(--preset fast --window 64)
run images 'tissue/TrainValAB/trainA/*.jpg' --args "${images[*]}"
run slides 'slide/he.ome.tiff' --suffix ome.tiff --args "${slides[*]}"
rm -rf alone && mkdir alone
histdist translate --model demo --input tissue/TrainValAB/trainA --output alone/images --threads 1 "${images[@]}"
histdist translate --model demo --input slide/he.ome.tiff --output alone/he.ome.tiff --threads 1 "${slides[@]}"
diff -r alone/images images
cmp alone/he.ome.tiff slides/he.ome.tiff
echo "nextflow: 3 images and a slide are the same"
