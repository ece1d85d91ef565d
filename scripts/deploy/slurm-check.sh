#!/usr/bin/env bash
# Runs the Slurm scripts on a cluster of four nodes on this machine, kills their tasks at random, and compares the
# outputs with those of one process, byte by byte:
#
#   scripts/deploy/slurm-check.sh FOLDER [translate|evaluate|train]...
#
# FOLDER gets the data (200 images, or IMAGES, and four slides of several regions), the outputs and Slurm's logs.
# HISTDIST names the program. A training is on two nodes; it is requeued, and told that its time is over. Its GPUs are
# stand-ins that compute on the processor: it needs `scripts/cuda.sh fake` and a program of `make gpu` (HISTDIST_GPU).
# Needs root, Debian's packages slurm-wlm and munge, and python3.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
mkdir -p "$1" && cd "$1"
work=$PWD images=${IMAGES:-200}
shift
[ $# -gt 0 ] || set -- translate evaluate train
root=$(cd "$here/../.." && pwd)
export HISTDIST=${HISTDIST:-$root/bin/histdist}
options=(--preset fast --threads 1)

data() {
	"$HISTDIST" data synth --output tissue --pairs "$images" --val-pairs 0 --size 64
	mkdir -p slides
	for i in 1 2 3 4; do
		"$HISTDIST" data synth --output "slide$i" --slide 384x320 --islands 1 --seed "$i"
		ln -sf "../slide$i/he.ome.tiff" "slides/case$i.ome.tiff"
	done
}

cluster() {
	mkdir -p slurm/{state,spool,log}
	cd slurm
	[ -e munge.key ] || (umask 077 && head -c 128 /dev/urandom >munge.key)
	cat >slurm.conf <<-END
		ClusterName=check
		SlurmctldHost=localhost
		SlurmUser=root
		SlurmctldPort=17817
		AuthInfo=socket=$PWD/munge.socket,cred_expire=10
		StateSaveLocation=$PWD/state
		SlurmdSpoolDir=$PWD/spool/%n
		SlurmctldPidFile=$PWD/slurmctld.pid
		SlurmdPidFile=$PWD/slurmd-%n.pid
		SlurmctldLogFile=$PWD/log/slurmctld
		SlurmdLogFile=$PWD/log/slurmd-%n
		ProctrackType=proctrack/linuxproc
		TaskPlugin=task/none
		SwitchType=switch/none
		MpiDefault=none
		ReturnToService=2
		SelectType=select/cons_tres
		SelectTypeParameters=CR_CPU
		SlurmdParameters=config_overrides
		KillWait=2
		NodeName=n[1-4] NodeHostname=$(hostname) NodeAddr=127.0.0.1 Port=[17821-17824] CPUs=2 State=UNKNOWN
		PartitionName=all Nodes=ALL Default=YES
	END
	export SLURM_CONF=$PWD/slurm.conf
	munged --force --key-file="$PWD/munge.key" --socket="$PWD/munge.socket" --pid-file="$PWD/munged.pid" \
		--log-file="$PWD/log/munged" --seed-file="$PWD/munge.seed"
	slurmctld
	for i in 1 2 3 4; do slurmd -N "n$i"; done
	cd ..
	trap 'scancel --user=root; kill $(cat slurm/slurmd-n?.pid slurm/slurmctld.pid slurm/munged.pid)' EXIT
}

# watched OUTPUT JOB checks the status every second until the job has ended: every item is counted once, and what is
# said to be done is there.
watched() {
	python3 - "$@" <<-'END'
		import glob, json, os, subprocess, sys, time
		output, job = sys.argv[1:]
		before, seen = 0, set()
		while True:
		    ended = not subprocess.run(["squeue", "-h", "-j", job], capture_output=True, text=True).stdout.strip()
		    said = subprocess.run([os.environ["HISTDIST"], "status", output, "--json"], capture_output=True, text=True)
		    if said.returncode == 0:
		        s = next(s for s in json.loads(said.stdout) if s["output"] == output)
		        running = {a["item"] for a in s["running"]}
		        parts = [s["done"], len(running), len(s["lost"]), len(s["failed"]), len(s["remaining"])]
		        there = len([f for f in glob.glob(output + "/**/*", recursive=True) if os.path.isfile(f)])
		        assert sum(parts) == s["items"], parts
		        assert before <= s["done"] <= there, (before, s["done"], there)
		        assert not s["failed"], s["failed"]
		        if s["done"] != before or ended:
		            print("done %d, running %d, to be taken over %d, failed %d, remaining %d" % tuple(parts), flush=True)
		        before = s["done"]
		    if ended:
		        sys.exit(s["done"] < s["items"])
		    time.sleep(1)
	END
}

# chaos OUTPUT JOB kills processes, requeues tasks and takes a node down, at random.
chaos() {
	local output=$1 job=$2 pids tasks
	for round in 1 2 3 4 5 6; do
		sleep $((2 + RANDOM % 4))
		mapfile -t pids < <(pgrep -f "^$HISTDIST .*--output $output ")
		mapfile -t tasks < <(squeue -h -r -t RUNNING -j "$job" -o %i)
		if [ ${#pids[@]} = 0 ] || [ ${#tasks[@]} = 0 ]; then continue; fi
		case $((round % 3)) in
		0) # the node comes back by itself: ReturnToService
			echo "node n2 down" && scontrol update nodename=n2 state=down reason=check ;;
		1) # it may have ended by itself
			local pid=${pids[RANDOM % ${#pids[@]}]}
			echo "kill -9 $pid" && { kill -9 "$pid" || true; }
			;;
		2)
			local task=${tasks[RANDOM % ${#tasks[@]}]}
			echo "requeue $task" && { scontrol requeue "$task" || true; }
			;;
		esac
	done
}

# run INPUT OUTPUT OPTIONS… compares an array with one process.
run() {
	local input=$1 output=$2 job
	shift 2
	[ -e "alone-$output/done" ] ||
		{ "$HISTDIST" translate --model demo --input "$input" --output "alone-$output" "${options[@]}" "$@" 2>"alone-$output.log" &&
			touch "alone-$output/done"; }
	rm -rf "$output"
	for _ in 1 2 3; do # tasks that were killed are not requeued: the array is submitted again
		job=$(sbatch --parsable --array=0-7 --gres=none --cpus-per-task=1 --mem=0 --output="$work/slurm/log/%A_%a" \
			"$here/slurm/translate-array.sbatch" demo "$work/$input" "$work/$output" "${options[@]}" --dead-after 20s "$@")
		chaos "$work/$output" "$job" &
		if watched "$work/$output" "$job"; then break; fi
	done
	wait %% 2>/dev/null || true
	"$HISTDIST" status "$output"
	diff -r --exclude=.histdist --exclude=done "alone-$output" "$output"
	echo "$output: $(find "$output" -type f -not -path '*/.histdist/*' | wc -l) files are the same"
}

translate() {
	[ -e "slide4/slide.json" ] || data
	run slides stained-slides --format ome.tiff --window 64 --region-size 160
	run tissue/TrainValAB/trainA stained-images
}

evaluate() {
	local job set=tissue/TrainValAB
	[ -e "slide4/slide.json" ] || data
	local options=(--real "$work/$set/trainB" --he "$work/$set/trainA" --virtual "$work/$set/trainA" --phikon
		"$root/testdata/golden/tiny-phikon" --resamples 200 --threads 1)
	rm -rf alone-evaluation evaluation
	"$HISTDIST" evaluate "${options[@]}" --output alone-evaluation >/dev/null 2>alone-evaluation.log
	for _ in 1 2 3; do
		job=$(sbatch --parsable --array=0-3 --gres=none --cpus-per-task=1 --mem=0 --output="$work/slurm/log/evaluate-%A_%a" \
			"$here/slurm/evaluate-array.sbatch" "${options[@]}" --output "$work/evaluation" --dead-after 20s)
		chaos "$work/evaluation" "$job" &
		while [ -n "$(squeue -h -j "$job")" ]; do sleep 1; done
		if [ -e evaluation/report/index.html ]; then break; fi
	done
	wait %% 2>/dev/null || true
	"$HISTDIST" status evaluation
	diff -r --exclude=.histdist --exclude=cache --ignore-matching-lines='"created":\| UTC' alone-evaluation evaluation
	echo "evaluation: the results and the report are the same"
}

# checkpoint JOB STEP waits for a checkpoint of a training.
checkpoint() {
	until [ -e "training/checkpoint-$2" ]; do
		[ -n "$(squeue -h -j "$1")" ] || { cat "slurm/log/train-$1" && return 1; }
		sleep 0.2
	done
}

train() {
	local fake=$root/bin/cuda/fake steps=8 job
	"$HISTDIST" data synth --output pairs --pairs 4 --val-pairs 2 --patient-pairs 2 --size 64
	export LD_LIBRARY_PATH=$fake HISTDIST_CUDA_LIBRARIES=$fake HISTDIST_FAKE_CUDA_GPUS=2
	local tiny=$root/testdata/golden/tiny
	local options=(demo --set "data.dir=$work/pairs" --set "model.base=$tiny" --set "model.phikon=$tiny-phikon"
		--set data.crop=32 --set data.batch=1 --set train.accumulate=2 --set "train.steps=$steps" --set train.lr-warmup=1
		--set train.checkpoint-every=1 --set train.keep-last=9 --set train.validate-every=0 --set run.tensorboard=false)
	rm -rf alone-training training
	"$HISTDIST_GPU" train "${options[@]}" --set run.output=alone-training --device cuda:0,cuda:1 2>alone-training.log
	# The nodes' names are unknown to this machine.
	job=$(HISTDIST=$HISTDIST_GPU MASTER_ADDR=127.0.0.1 sbatch --parsable --nodes=2 --ntasks-per-node=1 --gres=none \
		--cpus-per-task=1 --mem=0 --output="$work/slurm/log/train-%j" "$here/slurm/train.sbatch" "${options[@]}" \
		--set "run.output=$work/training")
	checkpoint "$job" 2
	echo "requeue $job" && scontrol requeue "$job"
	checkpoint "$job" 5
	echo "the time of $job is over" && scancel --batch --signal=TERM "$job"
	while [ -n "$(squeue -h -j "$job")" ]; do sleep 1; done
	grep -a "resuming after\|error\|histdist train:" "slurm/log/train-$job"
	[ "$(grep -ac "resuming after" "slurm/log/train-$job")" = 2 ]
	for part in unet unet_ema optimizer; do
		diff -r "alone-training/checkpoint-$steps/$part" "training/checkpoint-$steps/$part"
	done
	echo "training: the checkpoint of $steps steps is the same"
}

cluster
for check in "$@"; do "$check"; done
