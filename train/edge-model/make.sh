#!/usr/bin/env bash
# Trains a model for small devices on the drawings of the demo model: MobileNetV3-small sees, and int8 graphs are made.
# usage: train/edge-model/make.sh [WORK]     WORK (default: build/edge-model) keeps corpora, runs, evaluations, bundle.
set -euo pipefail
cd "$(dirname "$0")/../.."
work=${1:-build/edge-model}
bash train/drawn-model/make.sh train/edge-model "$work" --precision int8 --accept-loss

# What the exported graphs say of the 500 films, beside the demo bundle; what int8 costs is in the bundle.
films=$work/phantoms-seed-777
cxrscribe evaluate "$work/bundle" --corpus "$films" --split all --out "$work/of-bundle"
cxrscribe evaluate runtime/cxrscribe/demo/bundle --corpus "$films" --split all --out "$work/of-demo"
cxrscribe inspect "$work/bundle"
