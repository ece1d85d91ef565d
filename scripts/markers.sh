#!/bin/bash
# Measures one model of four markers against four models of one each, on synthetic tissue, by Pearson's r of the
# DAB-positive area of the virtual and the true stain of unseen patients, --preset balanced:
#   scripts/markers.sh HISTDIST FOLDER
# The one model is trained for STEPS (1000) steps, each of the four for a quarter of them, all from the same base with the
# same batches and learning rate. The base has seen all four stains and was not told which is which: it is the
# demonstration's model after BASE_STEPS (1500) steps on the pairs of all markers as if they were one's. BASE names
# another; the demonstration's own, demo, stains for ER and has learnt that for thousands of steps. PAIRS (256) of tissue
# for training and VAL_PAIRS (128) to measure on, 128 pixels. What is in FOLDER from an earlier call is used again. On two
# quiet cores it takes about half an hour. The last column is the difference, which should be no less than −0.03.
set -eu
if [ $# -lt 2 ]; then
	sed -n '2,13s/^# \{0,1\}//p' "$0" >&2
	exit 2
fi
histdist=$(realpath "$1")
STEPS=${STEPS:-1000} BASE_STEPS=${BASE_STEPS:-1500} PAIRS=${PAIRS:-256} VAL_PAIRS=${VAL_PAIRS:-128}
mkdir -p "$2"
cd "$2"
markers='ER HER2 Ki67 PR'

"$histdist" data synth --output tissue --markers er,her2,ki67,pr --pairs "$PAIRS" --val-pairs "$VAL_PAIRS" --size 128 \
	--patient-pairs 1 2>/dev/null

# train NAME EXPERIMENT STEPS [KEY=VALUE …]: a model in NAME
train() {
	local name=$1 experiment=$2 steps=$3 set=()
	shift 3
	for key in "$@" "train.steps=$steps" train.validate-every=0 "run.output=runs/$name"; do
		set+=(--set "$key")
	done
	[ -e "$name" ] && return
	"$histdist" train "$experiment" "${set[@]}" --resume auto 2>"$name.log" || { tail -3 "$name.log" >&2; exit 1; }
	"$histdist" export "runs/$name" --ema --output "$name" >/dev/null
}

if [ -z "${BASE:-}" ]; then
	BASE=base
	for m in ${markers,,}; do
		for file in "tissue/$m"/TrainValAB/*/*; do
			mixed=mixed${file#"tissue/$m"}
			mkdir -p "${mixed%/*}" && ln -f "$file" "${mixed%/*}/$m-${file##*/}"
		done
	done
	train base demo "$BASE_STEPS" model.base=demo model.marker=mixed data.dir=mixed
fi

sets=
for m in $markers; do
	sets+="{dir: tissue/${m,,}, marker: $m}, "
done
train one demo-markers "$STEPS" "model.base=$BASE" train.ema-decay=0.99 "data.sets=[${sets%, }]"
for m in $markers; do
	train "of-${m,,}" demo $((STEPS / 4)) "model.base=$BASE" train.ema-decay=0.99 "model.marker=$m" \
		"data.dir=tissue/${m,,}"
done

# r MODEL MARKER [NAME=VALUE …]: of the positive area
r() {
	local model=$1 marker=$2 of=tissue/${2,,}/TrainValAB
	shift 2
	env "$@" "$histdist" evaluate --model "$model" --preset balanced --real "$of/valB" --he "$of/valA" --mpp 0.47 \
		--output "evaluation/$model-${marker,,}" --json 2>/dev/null >"$model-${marker,,}.json"
	python3 -c 'import json, sys
print(next(m["value"] for m in json.load(sys.stdin)["metrics"] if m["id"] == "positive_area_pearson"))' \
		<"$model-${marker,,}.json"
}

printf 'marker\tone model\tits own\tdifference\n'
for m in $markers; do
	one=$(r one "$m" "HISTDIST_TRANSLATE_MARKER=$m")
	own=$(r "of-${m,,}" "$m")
	printf '%s\t%.3f\t%.3f\t%+.3f\n' "$m" "$one" "$own" "$(python3 -c "print($one - $own)")"
done
