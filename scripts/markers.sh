#!/bin/bash
# Measures one model of four markers against four models of one each, on synthetic tissue, by Pearson's r of the
# DAB-positive area of the virtual and the true stain of unseen patients:
#   scripts/markers.sh HISTDIST FOLDER
# The one model is trained for STEPS (4000) steps, each of the four for a quarter of them, all from the demonstration's
# model (BASE) with the same batches and learning rate. PAIRS (256) of tissue for training and VAL_PAIRS (128) to measure
# on, 128 pixels. What is in FOLDER from an earlier call is used again. On two quiet cores the training takes about
# 20 minutes. The last column is the difference, which should be no less than −0.03.
set -eu
if [ $# -lt 2 ]; then
	sed -n '2,9s/^# \{0,1\}//p' "$0" >&2
	exit 2
fi
histdist=$(realpath "$1")
STEPS=${STEPS:-4000} PAIRS=${PAIRS:-256} VAL_PAIRS=${VAL_PAIRS:-128} BASE=${BASE:-demo}
mkdir -p "$2"
cd "$2"
markers='ER HER2 Ki67 PR'

"$histdist" data synth --output tissue --markers er,her2,ki67,pr --pairs "$PAIRS" --val-pairs "$VAL_PAIRS" --size 128 \
	--patient-pairs 1 2>/dev/null

# train NAME EXPERIMENT STEPS [KEY=VALUE …]: a model in NAME
train() {
	local name=$1 experiment=$2 steps=$3 set=()
	shift 3
	for key in "$@" "model.base=$BASE" "train.steps=$steps" train.validate-every=0 "run.output=runs/$name"; do
		set+=(--set "$key")
	done
	[ -e "$name" ] && return
	"$histdist" train "$experiment" "${set[@]}" --resume auto 2>"$name.log" || { tail -3 "$name.log" >&2; exit 1; }
	"$histdist" export "runs/$name" --ema --output "$name" >/dev/null
}

sets=
for m in $markers; do
	sets+="{dir: tissue/${m,,}, marker: $m}, "
done
train one demo-markers "$STEPS" "data.sets=[${sets%, }]"
for m in $markers; do
	train "of-${m,,}" demo $((STEPS / 4)) "model.marker=$m" "data.dir=tissue/${m,,}"
done

# r MODEL MARKER [NAME=VALUE …]: of the positive area
r() {
	local model=$1 marker=$2 of=tissue/${2,,}/TrainValAB
	shift 2
	env HISTDIST_TRANSLATE_STEPS_INVERSION=20 HISTDIST_TRANSLATE_STEPS_TRANSLATION=20 "$@" "$histdist" evaluate \
		--model "$model" --real "$of/valB" --he "$of/valA" --mpp 0.47 --output "evaluation/$model-${marker,,}" --json \
		2>/dev/null >"$model-${marker,,}.json"
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
