#!/usr/bin/env bash
# Every check of the device for NVIDIA's GPUs that needs one, a line a check: NAME ok|FAILED|skipped, seconds, and what it says.
# Builds nothing: `make gpu` makes bin/gpu. Takes a machine with NVIDIA's driver a few minutes.
#
#   scripts/gpu-check.sh [folder of golden data]     (else HISTDIST_GOLDEN, else testdata/golden)
#
# HISTDIST_MODEL: a full-size model's folder; with it a whole translation is timed. HISTDIST_GPU: cuda:1 and so on. HISTDIST_SKIP_TIMES=1: no times.
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

# check NAME FOLDER COMMAND… runs a command in a folder and prints its last line, all of them if it fails or if show is set.
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
		echo "$name ok ${took}s $([ -n "${show:-}" ] || tail -1 "$log")"
		[ -z "${show:-}" ] || sed 's/^/    /' "$log"
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

# The golden data in float32 and bfloat16, with the tolerances of the processor's devices.
for network in unet vae clip vit; do
	check "golden $network" graph/$network env HISTDIST_TEST_DEVICES="$device" "$root/bin/gpu/$network.test" -test.timeout 10m
done

# A whole translation of a synthetic image with the golden model.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
check "synthetic image" . bin/gpu/histdist data synth --out "$work/tissue" --pairs 1 --val-pairs 0 --size 256
check "translation with the golden model" . bin/gpu/histdist translate --device "$device" --model testdata/golden/tiny --phikon testdata/golden/tiny-phikon \
	--input "$work/tissue/TrainValAB/trainA" --output "$work/golden" --steps-inversion 5 --steps-translation 5

# Under NVIDIA's checker of races between the threads of a block, where it is there.
if command -v compute-sanitizer >/dev/null; then
	check "racecheck" graph/device/cuda compute-sanitizer --tool racecheck --error-exitcode 1 "$root/bin/gpu/cuda.test" -test.run '^TestProgram$' -driver=
else
	skipped "racecheck" "compute-sanitizer is missing: it comes with a CUDA toolkit"
fi

# Times: a U-Net step, the autoencoder's halves, CLIP and Phikon.
if [ -z "${HISTDIST_SKIP_TIMES:-}" ]; then
	for precision in float32 bfloat16; do
		show=1 check "networks at full size, $precision" . bin/gpu/histdist bench --device "$device" --precision "$precision"
	done
fi
if [ -n "${HISTDIST_MODEL:-}" ]; then
	check "translation 100 + 100 at full size" . bin/gpu/histdist translate --device "$device" --precision bfloat16 --model "$HISTDIST_MODEL" \
		--input "$work/tissue/TrainValAB/trainA" --output "$work/full"
else
	skipped "translation 100 + 100 at full size" "set HISTDIST_MODEL to a model's folder"
fi
skipped "training step" "the trainer refuses devices outside of the process's memory: docs/cuda.md"
skipped "several GPUs" "not there yet: docs/cuda.md"
exit $failed
