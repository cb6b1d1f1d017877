#!/usr/bin/env bash
# Trains the demo bundle that the wheel carries, from nothing, with the project's own commands.
# usage: train/demo-model/make.sh [WORK]     WORK (default: build/demo-model) keeps corpora, runs and evaluation.
set -euo pipefail
cd "$(dirname "$0")/../.."
work=${1:-build/demo-model}
demo=runtime/cxrscribe/demo
here=train/demo-model
mkdir -p "$work"

# What an earlier run of this script has begun is gone on with.
fit() {
    local out=$1
    shift
    if [ -d "$out/checkpoint" ]; then set -- "$@" --resume; fi
    cxrscribe train --out "$out" "$@"
}

cxrscribe corpus phantom --studies 8000 --seed 20260101 --train 0.95 --validation 0.05 --out "$work/corpus"

# A film costs ten times what its report costs. So the encoder is trained first, on small films and then on larger
# ones, and then the decoder alone, for longer.
fit "$work/coarse" --corpus "$work/corpus" --config "$here/encoder-coarse.toml"
fit "$work/fine" --corpus "$work/corpus" --config "$here/encoder-fine.toml" \
    --weights "$work/coarse/encoder.safetensors"
cxrscribe features --corpus "$work/corpus" --backbone mobilenet_v1 --backbone-option scale=0.25 --size 192 \
    --weights "$work/fine/encoder.safetensors" --out "$work/features.h5"
fit "$work/run" --corpus "$work/corpus" --features "$work/features.h5" --config "$here/decoder.toml"

# 500 films drawn with a seed that training never saw.
cxrscribe corpus phantom --studies 500 --seed 777 --out "$work/phantoms-seed-777"
cxrscribe evaluate "$work/run" --corpus "$work/phantoms-seed-777" --split all --out "$work/evaluation"

# More films than the default: half of the reports are said of several films, and 150 different ones are wanted.
cxrscribe export "$work/run" --features "$work/features.h5" --parity-films 400 \
    --evaluation "$work/evaluation/evaluation.json" --licence Apache-2.0 --overwrite --out "$work/bundle"

# Six sample films, of a third seed: one of them is normal, and the others show eleven kinds of finding.
cxrscribe corpus phantom --studies 6 --seed 4312 --out "$work/samples"
rm -rf "$demo"
mkdir -p "$demo/films"
cp -r "$work/bundle" "$demo/bundle"
cp "$work"/samples/images/*.png "$demo/films/"
cxrscribe inspect "$demo/bundle"
