#!/usr/bin/env bash
# Every check of the device for NVIDIA's GPUs that needs one, and its times. It builds nothing: it needs
# bin/gpu/check.tar.xz (make gpu), the golden files, and NVIDIA's driver and libraries.
#
#   scripts/gpu-check.sh [PART…]      parts: device goldens times pipeline races torch; without any, all but races and torch
#
#   device    doctor, the driver, all operations in all precisions, a block with its gradients
#   goldens   the networks, a whole translation and training against reference data, in float32 (4 × the processor's
#             tolerances) and bfloat16
#   times     the networks at full size, batch 1 and 8, bfloat16 and float32, with the share of the GPU's peak rate
#   pipeline  a translation of 100 + 100 steps and training steps of 16 images with a full-size model of random weights,
#             which it writes (4 GB)
#   races     a block under compute-sanitizer, where it is there
#   torch     times and pipeline in PyTorch, with a PYTHON (python3) that has torch, diffusers and transformers
#
# Prints a line for each check (NAME ok|FAILED|skipped, seconds, message), the results of times as JSON in lines
# "check {…}", and a table at the end. A failed check doesn't stop the others. HISTDIST_GOLDEN: a folder with more golden
# data; HISTDIST_GPU: cuda:1 and so on; OUT: a folder that keeps the logs; LIMIT: seconds for each check (300); WORK: a
# folder for the model.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD
HISTDIST_GOLDEN=$(cd "${HISTDIST_GOLDEN:-testdata/golden}" && pwd) || exit 2 # absolute: the checks run in other folders
export HISTDIST_GOLDEN
device=${HISTDIST_GPU:-cuda:0}
limit=${LIMIT:-300}
parts=${*:-device goldens times pipeline}
failed=0

work=$(mktemp -d "${WORK:-${TMPDIR:-/tmp}}/gpu-check.XXXXXX")
logs=${OUT:-$work/logs}
mkdir -p "$logs"
background=
trap '[ -z "$background" ] || kill "$background" 2>/dev/null; rm -rf "$work"' EXIT

bin=$work/bin
mkdir "$bin"
if [ -e bin/gpu/check.tar.xz ] && command -v xz >/dev/null; then
	xz -dc bin/gpu/check.tar.xz | tar -C "$bin" -xf - || exit 2
elif [ -e bin/gpu/check.tar.xz ]; then
	python3 -c 'import sys, tarfile; tarfile.open(sys.argv[1]).extractall(sys.argv[2])' bin/gpu/check.tar.xz "$bin" || exit 2
elif [ -e bin/gpu/check.tar.gz ]; then
	tar -C "$bin" -xzf bin/gpu/check.tar.gz || exit 2
else
	echo "gpu-check: bin/gpu/check.tar.xz is missing: make gpu" >&2
	exit 2
fi

# Tests look for golden files from their package's folder upwards. Without a checkout the packed folders serve.
tree=$root
if [ ! -e go.mod ]; then
	tree=$bin/tree
	mkdir -p "$tree/testdata" "$tree"/graph/{device/internal/cuda,unet,vae,clip,vit} "$tree/infer" "$tree/train"
	touch "$tree/go.mod"
	ln -s "$root/testdata/golden" "$tree/testdata/golden"
fi

# memory prints the GPU's used MiB.
memory() { nvidia-smi -i "${device#cuda:}" --query-gpu=memory.used --format=csv,noheader,nounits 2>/dev/null | tr -dc 0-9; }

# check NAME FOLDER COMMAND… runs a command in a folder and prints its last line, or all if it fails or show is set. For a
# test binary (tests=1) it prints how many tests passed, or "skipped" if none ran. It notes the GPU's peak memory.
check() {
	local name=$1 folder=$2 begin rc took said log watcher peak used=$work/memory.$BASHPID
	shift 2
	log=$logs/$(tr -c 'a-zA-Z0-9\n' - <<<"$name").log
	begin=$(date +%s.%N)
	(while m=$(memory) && [ -n "$m" ]; do echo "$m" && sleep 0.3; done >"$used") 2>/dev/null &
	watcher=$!
	(cd "$tree/$folder" && timeout --kill-after=5 "$limit" "$@") >"$log" 2>&1
	rc=$?
	kill "$watcher" 2>/dev/null
	wait "$watcher" 2>/dev/null
	peak=$(sort -n "$used" 2>/dev/null | tail -1)
	took=$(echo "$(date +%s.%N) $begin" | awk '{printf "%.1f", $1 - $2}')
	said=$(tail -1 "$log")
	if [ -n "${tests:-}" ]; then
		# Only tests without subtests count.
		said="$(grep -E '^ *--- PASS' "$log" | awk '{match($0, /^ */); if (depth && RLENGTH <= depth) n++; depth = RLENGTH + 1} END {print n + (NR > 0)}') passed"
		[ "$rc" != 0 ] || grep -q '^ *--- PASS' "$log" || rc=none
		[ "$rc" = 0 ] || [ "$rc" = none ] || said="$(grep -cE '^ *--- FAIL' "$log") lines of failures, $said"
	fi
	local result=FAILED
	case $rc in
	0) result=ok ;;
	none) result=skipped said="there is no such test, or it has no data" ;;
	124 | 137) said="did not end in $limit s" ;;
	esac
	[ -z "${show:-}" ] || [ "$result" != ok ] || said=
	{ # at once, for checks run beside each other
		echo "$name $result ${took}s $said${peak:+ ($peak MiB)}"
		[ -z "${show:-}" ] || grep '^{' "$log" | sed "s/^/check /"
		if [ "$result" = FAILED ]; then
			{ grep -E '^ *--- FAIL|_test.go:[0-9]+:' "$log" | head -25; tail -15 "$log"; } | cut -c1-300 | sed 's/^/    /'
		fi
	} >"$used.said"
	cat "$used.said"
	printf '%s\t%s\t%s\t%s\t%s\n' "$name" "$result" "$took" "${peak:-}" "${said:0:80}" >>"$work/table"
}

# suite NAME PATTERN SKIP is a part of the device's tests, with NVIDIA's driver.
# Fewer odd cases: cuDNN compiles for each of them.
suite() { tests=1 check "$1" graph/device/internal/cuda "$bin/cuda.test" -test.v -test.short -test.run "$2" ${3:+-test.skip "$3"} -driver=; }

# beside starts a check that reports no times in parallel with others, at most one for each processor.
beside() {
	while [ "$(jobs -rp | wc -l)" -gt "$(nproc)" ]; do sleep 0.1; done
	"$@" &
	waits+=($!)
}
joined() { for p in "${waits[@]}"; do wait "$p"; done; waits=(); }
waits=()

# goldens NAME FOLDER PATTERN SKIP compares with reference data on the GPU.
goldens() {
	tests=1 check "$1" "$2" env HISTDIST_TEST_DEVICES="$device" "$bin/$(basename "$2").test" -test.v -test.run "$3" ${4:+-test.skip "$4"}
}

bench() { # NAME FLAGS…
	local name=$1
	shift
	show=1 check "$name" . "$bin/histdist" bench --device "$device" --json "$@"
}

torch() { # NAME ARGUMENTS…
	local name=$1
	shift
	show=1 check "$name" . "${PYTHON:-python3}" "$root/scripts/bench_torch.py" --device "$device" --precision bfloat16 \
		--runs 20 --compile default --limit $((limit - 10)) "$@"
}

nvidia-smi --query-gpu=name,driver_version,memory.total,memory.used,clocks.sm,clocks.mem --format=csv,noheader 2>/dev/null || echo "nvidia-smi is missing"

# The model is written while the first parts run.
if [[ " $parts " == *" pipeline "* ]]; then
	"$bin/histdist" bench --new-model "$work/model" >"$logs/new-model.log" 2>&1 &
	background=$!
fi

for part in $parts; do
	case $part in
	device)
		show= check "doctor" . "$bin/histdist" doctor --quick
		sed 's/^/    /' "$logs/doctor.log"
		beside suite "driver, memory, libraries" . '^Test(Conformance|ConvolutionsByCuDNN|Program|StepsOnlyLaunch)$'
		for family in conv attention norm linear elementwise 'pool|arrange|contract' 'reduce|posterior|optimizer'; do
			beside suite "operations: $family" "^TestConformance\$/^($family)\$"
		done
		beside suite "convolutions by cuDNN" '^TestConvolutionsByCuDNN$'
		beside suite "a block with its gradients" '^Test(Program|StepsOnlyLaunch)'
		joined
		;;
	goldens)
		for network in unet vae clip vit; do beside goldens "golden $network" graph/$network .; done
		beside goldens "golden blocks" graph '^Test(Blocks|Timesteps)'
		beside goldens "golden translation" infer '^TestEqualsTheOfficialImplementation$'
		beside goldens "golden training" train '^Test(TrainingEqualsPyTorch|RecomputationChangesNoBit|BFloat16|GradientsAddUp|Frozen)$'
		joined
		;;
	times)
		bench "networks, bfloat16" --precision bfloat16 --runs 20 --only unet,vae-encode,vae-decode,vit,text
		bench "networks, bfloat16, batch 8" --precision bfloat16 --runs 10 --batch 8 --only unet
		bench "networks, float32" --precision float32 --runs 5 --only unet,vae-encode,vae-decode,vit,text
		;;
	pipeline)
		wait "$background" || { echo "the model was not written:" && cat "$logs/new-model.log"; }
		background=
		for precision in bfloat16; do
			bench "translation 100 + 100, $precision" --precision $precision --model "$work/model" --runs 3 --only translation
			bench "training, batch 16, $precision" --precision $precision --model "$work/model" --batch 16 --runs 5 --only training
			bench "training, batch 16, recomputing, $precision" --precision $precision --model "$work/model" --batch 16 --runs 5 --only training-sparing
		done
		;;
	races)
		if command -v compute-sanitizer >/dev/null; then
			check "racecheck" graph/device/internal/cuda compute-sanitizer --tool racecheck --error-exitcode 1 "$bin/cuda.test" -test.run '^TestProgram$' -driver=
			check "memcheck" graph/device/internal/cuda compute-sanitizer --tool memcheck --error-exitcode 1 "$bin/cuda.test" -test.run '^TestProgram$' -driver=
		else
			echo "races skipped compute-sanitizer is missing: it comes with a CUDA toolkit"
		fi
		;;
	torch)
		torch "PyTorch, products" kernels "linear 8192 8192 8192 0"
		torch "PyTorch, networks" networks unet vae-encode vae-decode vit text translation
		torch "PyTorch, batch 8" --batch 8 networks unet
		torch "PyTorch, training, batch 16" --batch 16 networks training
		;;
	*)
		echo "gpu-check: no part $part: want device, goldens, times, pipeline, races or torch" >&2
		failed=2
		;;
	esac
done

echo
awk -F '\t' 'BEGIN {printf "%-44s %-8s %8s %9s  %s\n", "check", "result", "seconds", "GPU MiB", ""} {printf "%-44s %-8s %8s %9s  %s\n", $1, $2, $3, $4, $5}' "$work/table"
! grep -qP "\tFAILED\t" "$work/table" || failed=1
exit $failed
