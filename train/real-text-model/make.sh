#!/usr/bin/env bash
# Trains a model of real language on drawn films: each report of the Indiana collection with a film that is drawn after
# its headings, seen by the demo bundle's encoder, and the patient's INDICATION beside it.
# usage: train/real-text-model/make.sh REPORTS [SPLIT]
#   REPORTS  NLMCXR_reports.tgz of the collection, or the folder that it was unpacked in
#   SPLIT    JSON with lists of study ids under train, val and test; without it studies are split anew
# SEED (1) in the environment is the training's; WORK (build/real-text-model) keeps the corpus, and runs, bundles and
# evaluations of each seed; `make clean` removes build. The reports aren't free to pass on: keep what comes out to yourself.
set -euo pipefail
reports=$(realpath "${1:?say where NLMCXR_reports.tgz is}")
split=${2:+$(realpath "$2")}
cd "$(dirname "$0")/../.."
seed=${SEED:-1}
work=${WORK:-build/real-text-model}
here=train/real-text-model
corpus=$work/corpus
features=$work/features.h5
run=$work/seed-$seed/run
bundle=$work/seed-$seed/bundle
mkdir -p "$work/seed-$seed"

cxrscribe corpus phantom --from-mesh "$reports" ${split:+--split-file "$split"} --out "$corpus"
cxrscribe features --corpus "$corpus" --weights runtime/cxrscribe/demo/bundle --out "$features"

# What an earlier call has begun is gone on with.
resume=
if [ -d "$run/checkpoint" ]; then resume=--resume; fi
cxrscribe train --corpus "$corpus" --features "$features" --config "$here/decoder.toml" --seed "$seed" --out "$run" \
    $resume

# Of real language the likeliest report is a short one of a normal film, and sentences come twice: docs/training.md.
# int8 loses about as much as export allows, a little more or less by the seed: the bundle records how much.
cxrscribe export "$run" --features "$features" --min-length 32 --no-repeat-ngram 4 --precision int8 --accept-loss \
    --overwrite --out "$bundle"
for part in val test; do
    cxrscribe evaluate "$bundle" --corpus "$corpus" --features "$features" --split "$part" \
        --out "$work/seed-$seed/$part"
done
