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
HISTDIST_GOLDEN=$(cd "${1:-${HISTDIST_GOLDEN:-testdata/golden}}" && pwd) || exit 2 # absolute: the checks run in other folders
export HISTDIST_GOLDEN
device=${HISTDIST_GPU:-cuda:0}
failed=0

if [ ! -x bin/gpu/histdist ]; then
	echo "gpu-check: bin/gpu/histdist is missing: make gpu" >&2
	exit 2
fi

# check NAME FOLDER COMMAND… runs a command in a folder and prints its last line; all of them if it fails or if show is set. For a test
# binary, tests=1, it prints how many tests passed, and that it was skipped if there were none.
check() {
	local name=$1 folder=$2 begin log rc took said
	shift 2
	begin=$(date +%s.%N)
	log=$(mktemp)
	(cd "$folder" && "$@") >"$log" 2>&1
	rc=$?
	took=$(echo "$(date +%s.%N) $begin" | awk '{printf "%.1f", $1 - $2}')
	said=$(tail -1 "$log")
	if [ -n "${tests:-}" ]; then
		# Those that have none below them.
		said="$(grep -E '^ *--- PASS' "$log" | awk '{match($0, /^ */); if (depth && RLENGTH <= depth) n++; depth = RLENGTH + 1} END {print n + (NR > 0)}') tests passed"
		[ "$rc" != 0 ] || grep -q '^ *--- PASS' "$log" || rc=none
	fi
	case $rc in
	0)
		[ -z "${show:-}" ] || said=""
		echo "$name ok ${took}s $said"
		[ -z "${show:-}" ] || sed 's/^/    /' "$log"
		;;
	none) echo "$name skipped there is no such test" ;;
	*)
		echo "$name FAILED ${took}s"
		tail -40 "$log" | sed 's/^/    /'
		failed=1
		;;
	esac
	rm -f "$log"
}

# suite NAME PATTERN is a part of the device's tests, with NVIDIA's driver.
suite() { tests=1 check "$1" graph/device/cuda "$root/bin/gpu/cuda.test" -test.v -test.timeout 10m -test.run "$2" -driver=; }

skipped() { echo "$1 skipped $2"; }

nvidia-smi --query-gpu=name,driver_version,memory.total,memory.used --format=csv,noheader 2>/dev/null || echo "nvidia-smi is missing"
check doctor . bin/gpu/histdist doctor --quick
suite "driver and memory" '^Test(OpenErrors|DriverIsMissing|CopiesLarger|ClosedWithMemory)'
suite "devicetest contract" '^TestConformance$/^contract$'
for family in conv pool linear attention norm elementwise arrange reduce posterior; do
	suite "devicetest $family float32" "^TestConformance\$/^$family\$/.*/.*/float32\$"
	suite "devicetest $family bfloat16" "^TestConformance\$/^$family\$/.*/.*/bfloat16\$"
	suite "devicetest $family odd shapes" "^TestConformance\$/^$family\$/.*/odd\$"
done
suite "devicetest optimizer float32" '^TestConformance$/^optimizer$' # exact in every precision
suite "a block with its gradients" '^TestProgram$'

# The golden data in float32 and bfloat16, with the tolerances of the processor's devices.
for network in unet vae clip vit; do
	tests=1 check "golden $network" graph/$network env HISTDIST_TEST_DEVICES="$device" "$root/bin/gpu/$network.test" -test.v -test.timeout 10m
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
