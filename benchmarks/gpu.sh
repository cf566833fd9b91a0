#!/usr/bin/env bash
# All that is to be known of a GPU, in under 8 minutes: exactness against the CPU, speed and use of the tower, one
# pre-training of PTB-XL with all data on the GPU, evaluation and pipeline.
#   benchmarks/gpu.sh DATA OUT          DATA holds ptb-xl/ (100 Hz); OUT receives logs and the model
#   DEVICE=cpu TOY=1 benchmarks/gpu.sh DATA OUT     the same at toy size on a CPU: a synthetic archive will do
set -euo pipefail
cd "$(dirname "$0")/.."
data=$1 out=$2
python=${PYTHON:-.venv/bin/python}
device=${DEVICE:-cuda}
mkdir -p "$out"
tower=(--device "$device") train=(etp-base) records=4096 batch=512
if [ -n "${TOY:-}" ]; then
    tower+=(--batch_size 8 --steps 2 --side 256)
    train=(etp-tiny --num_epochs 1) records=32 batch=16
fi
if [ "$device" = cpu ]; then export ACCELERATE_USE_CPU=true; fi

timed() { # NAME COMMAND…: seconds in OUT/seconds, output in OUT/NAME.log
    local name=$1 started
    shift
    started=$(date +%s.%N)
    "$@" >"$out/$name.log" 2>&1 || { tail -n 20 "$out/$name.log"; exit 1; }
    echo "$name $(echo "$(date +%s.%N) - $started" | bc)" | tee -a "$out/seconds"
}

timed tower "$python" benchmarks/bench_gpu.py "${tower[@]}"
tail -n 1 "$out/tower.log"
# Twice: the first prepares the archive, its signals and the features of texts; the second is the time that counts.
timed prepare "$python" -m etp.cli train "${train[@]}" --data_dir "$data/ptb-xl" --output_dir "$out/prepare" \
    --cache_dir "$out/cache" --feature_cache "$out/texts" --max_steps 2
timed pretraining "$python" -m etp.cli train "${train[@]}" --data_dir "$data/ptb-xl" --output_dir "$out/run" \
    --cache_dir "$out/cache" --feature_cache "$out/texts" --batch_size "$batch" --validate_every 1000
grep -h pairs_per_second "$out/run/metrics.jsonl" | tail -n 1
timed evaluation "$python" -m etp.cli evaluate zero-shot --model "$out/run" --data_dir "$data/ptb-xl" --split validation \
    --cache_dir "$out/cache" --device "$device" --num_resamples 200 --output "$out/zero-shot.json"
timed pipeline "$python" benchmarks/bench_pipeline.py --device "$device" --records "$records" --repeats 3
tail -n 1 "$out/pipeline.log"
