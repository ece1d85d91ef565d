#!/usr/bin/env bash
# Every check of the device for NVIDIA's GPUs that needs one, a line a check: NAME ok|FAILED|skipped, seconds, and what it says.
# Builds nothing: `make gpu` makes bin/gpu. Takes a machine with NVIDIA's driver a few minutes.
#
#   scripts/gpu-check.sh [folder of golden data]     (else HISTDIST_GOLDEN, else testdata/golden)
#
# HISTDIST_MODEL: a full-size model's folder; with it a whole translation is timed.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD
export HISTDIST_GOLDEN=${1:-${HISTDIST_GOLDEN:-$root/testdata/golden}}
device=${HISTDIST_GPU:-cuda:0}
failed=0

if [ ! -x bin/gpu/histdist ]; then
	echo "gpu-check: bin/gpu/histdist is missing: make gpu" >&2
	exit 2
fi

# check NAME FOLDER COMMAND… runs a command in a folder and prints its last line with what its lines "gpu-check: …" say.
check() {
	local name=$1 folder=$2 begin log rc
	shift 2
	begin=$(date +%s.%N)
	log=$(mktemp)
	(cd "$folder" && "$@") >"$log" 2>&1
	rc=$?
	local took
	took=$(echo "$(date +%s.%N) $begin" | awk '{printf "%.1f", $1 - $2}')
	if [ $rc = 0 ]; then
		echo "$name ok ${took}s $(tail -1 "$log")"
	else
		echo "$name FAILED ${took}s"
		tail -40 "$log" | sed 's/^/    /'
		failed=1
	fi
	rm -f "$log"
}

# suite NAME PATTERN is a part of the device's tests, with NVIDIA's driver.
suite() { check "$1" graph/device/cuda "$root/bin/gpu/cuda.test" -test.timeout 10m -test.run "$2" -driver=; }

skipped() { echo "$1 skipped $2"; }

nvidia-smi --query-gpu=name,driver_version,memory.total,memory.used --format=csv,noheader 2>/dev/null || echo "nvidia-smi is missing"
check doctor . bin/gpu/histdist doctor --quick
suite "driver and memory" '^Test(OpenErrors|DriverIsMissing|CopiesLarger|ClosedWithMemory)'
for family in contract conv pool linear attention norm elementwise arrange reduce posterior optimizer; do
	suite "devicetest $family float32" "^TestConformance\$/^$family\$/.*/.*/float32\$"
	[ $family = contract ] || suite "devicetest $family bfloat16" "^TestConformance\$/^$family\$/.*/.*/bfloat16\$"
	[ $family = contract ] || suite "devicetest $family odd shapes" "^TestConformance\$/^$family\$/.*/odd\$"
done
suite "contract" '^TestConformance$/^contract$'
suite "a block with its gradients" '^TestProgram$'

# The golden model as a whole: the processor's image and the GPU's.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
golden() {
	bin/gpu/histdist data synth --out "$work/tissue" --pairs 1 --val-pairs 0 --size 256 &&
		for d in cpu "$device"; do
			bin/gpu/histdist translate --device "$d" --model testdata/golden/tiny --phikon testdata/golden/tiny-phikon --input "$work/tissue/TrainValAB/trainA" \
				--output "$work/$d" --steps-inversion 5 --steps-translation 5 || return 1
		done
}
check "translate with the golden model" . golden

for precision in float32 bfloat16; do
	check "networks at full size, $precision" . bin/gpu/histdist bench --device "$device" --precision "$precision"
done
if [ -n "${HISTDIST_MODEL:-}" ]; then
	check "translation 100 + 100 at full size" . bin/gpu/histdist translate --device "$device" --precision bfloat16 --model "$HISTDIST_MODEL" \
		--input "$work/tissue/TrainValAB/trainA" --output "$work/full"
else
	skipped "translation 100 + 100 at full size" "set HISTDIST_MODEL to a model's folder"
fi
skipped "training step" "the trainer refuses devices outside of the process's memory: docs/cuda.md"
skipped "several GPUs" "not there yet: docs/cuda.md"
exit $failed
