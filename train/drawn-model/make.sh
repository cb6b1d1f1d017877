#!/usr/bin/env bash
# Trains a model on drawn films, from nothing, with the project's own commands.
# usage: train/drawn-model/make.sh RECIPE WORK [OPTION...]
#   RECIPE   the folder with encoder-coarse.toml, encoder-fine.toml and decoder.toml
#   WORK     keeps corpora, runs, evaluation and, at last, the bundle
#   OPTION   what `cxrscribe export` is told besides
# All recipes see the same drawings: models that were made so can be compared.
set -euo pipefail
recipe=$(realpath "${1:?say in which folder the recipe is}")
mkdir -p "${2:?say where to work}"
work=$(realpath "$2")
shift 2
cd "$(dirname "$0")/../.."

# What an earlier call has begun is gone on with.
fit() {
    local out=$1
    shift
    if [ -d "$out/checkpoint" ]; then set -- "$@" --resume; fi
    cxrscribe train --out "$out" "$@"
}

cxrscribe corpus phantom --studies 8000 --seed 20260101 --train 0.95 --validation 0.05 --out "$work/corpus"

# A film costs ten times what its report costs. So the encoder is trained first, on small films and then on larger
# ones, and then the decoder alone, for longer.
fit "$work/coarse" --corpus "$work/corpus" --config "$recipe/encoder-coarse.toml"
fit "$work/fine" --corpus "$work/corpus" --config "$recipe/encoder-fine.toml" \
    --weights "$work/coarse/encoder.safetensors"
# The backbone as the recipe has it, in the words of `cxrscribe features`.
words=$(python - "$recipe/encoder-fine.toml" <<'END'
import sys, tomllib

network = tomllib.load(open(sys.argv[1], "rb"))["network"]
print(f"--backbone={network['backbone']}", f"--size={network['size']}", sep="\n")
for name, value in network.get("backbone_options", {}).items():
    print(f"--backbone-option={name}={value}")
END
)
mapfile -t backbone <<< "$words"
cxrscribe features --corpus "$work/corpus" "${backbone[@]}" --weights "$work/fine/encoder.safetensors" \
    --out "$work/features.h5"
fit "$work/run" --corpus "$work/corpus" --features "$work/features.h5" --config "$recipe/decoder.toml"

# 500 films drawn with a seed that training never saw.
cxrscribe corpus phantom --studies 500 --seed 777 --out "$work/phantoms-seed-777"
cxrscribe evaluate "$work/run" --corpus "$work/phantoms-seed-777" --split all --out "$work/evaluation"

# More films than the default: half of the reports are said of several films, and 150 different ones are wanted.
cxrscribe export "$work/run" --features "$work/features.h5" --parity-films 400 \
    --evaluation "$work/evaluation/evaluation.json" --licence Apache-2.0 --overwrite "$@" --out "$work/bundle"
