#!/usr/bin/env bash
# Fine-tunes the demonstration's model for another marker with few pairs, all of its weights and adapters (LoRA), and
# compares the positive area of their stains of unseen patients with the true one:
#   scripts/few_pairs.sh HISTDIST [FOLDER]
# Prints a row of a Markdown table for each. MARKER (ki67), PAIRS ("16 64"), STEPS (600), UNSEEN (96) patients, RATES of
# all weights ("3e-4 1e-3") and of adapters ("1e-3 3e-3"): ADAPTER_RATES. What is in FOLDER already is not made again.
set -euo pipefail
if [ $# -lt 1 ]; then
	sed -n '2,6s/^# \{0,1\}//p' "$0" >&2
	exit 2
fi
histdist=$(realpath "$1") experiments=$(realpath "$(dirname "${BASH_SOURCE[0]}")/../experiments")
MARKER=${MARKER:-ki67} PAIRS=${PAIRS:-16 64} STEPS=${STEPS:-600} UNSEEN=${UNSEEN:-96}
mkdir -p "${2:-few-pairs}"
cd "${2:-few-pairs}"
most=$(printf '%s\n' $PAIRS | sort -n | tail -1)
"$histdist" data synth --output tissue --marker "$MARKER" --pairs "$most" --val-pairs "$UNSEEN" --patient-pairs 1 --size 128 \
	--seed 11 >/dev/null 2>&1

# measure NAME MODEL: the row of a model's stains of patients that no training saw.
measure() {
	"$histdist" evaluate --real tissue/TrainValAB/valB --he tissue/TrainValAB/valA --model "$2" --preset balanced --mpp 0.47 \
		--output "results/$1" --json >"results/$1.json" 2>"results/$1.log" || { cat "results/$1.log" >&2; exit 1; }
	python3 - "$1" "results/$1.json" <<-'EOT'
		import json, sys
		m = {m["id"]: m for m in json.load(open(sys.argv[2]))["metrics"]}
		area, low = m["positive_area_pearson"], "{:.3f} to {:.3f}".format
		print("|", sys.argv[1], "| %.3f |" % area["value"], low(area["interval"]["low"], area["interval"]["high"]), "| %+.1f" % m["positive_area_bias"]["value"],
			"| %.3f" % m["ki67_index_pearson"]["value"], "| %.3f |" % m["ssim"]["value"], flush=True)
	EOT
}

mkdir -p results
echo "| pairs, layers, learning rate | area r | 95 % interval | area bias, points | positive nuclei r | SSIM |"
echo "|---|---:|---|---:|---:|---:|"
measure base demo
for pairs in $PAIRS; do
	for recipe in all attention attention,convolutions; do
		adapter=() rates=${RATES:-3e-4 1e-3}
		if [ $recipe != all ]; then
			adapter=(--set train.adapter=lora --set "train.adapter-layers=$recipe") rates=${ADAPTER_RATES:-1e-3 3e-3}
		fi
		for rate in $rates; do
			name=$pairs-$recipe-$rate
			[ -e "runs/$name/checkpoint-$STEPS" ] || "$histdist" train "$experiments/demo.yaml" --set data.dir=tissue --set data.max-pairs="$pairs" \
				--set train.steps="$STEPS" --set train.lr="$rate" --set train.validate-every=0 --set validation.at-start=false \
				--set train.ema-decay=0.99 --set train.checkpoint-every=0 --set run.output="runs/$name" "${adapter[@]}" --resume auto >"$name.log" 2>&1
			[ -e "models/$name" ] || "$histdist" export "runs/$name" --ema --output "models/$name" ${adapter:+--merge} >/dev/null
			measure "$name" "models/$name"
		done
	done
done
