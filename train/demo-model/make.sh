#!/usr/bin/env bash
# Trains the demo bundle that the wheel carries, from nothing, with the project's own commands.
# usage: train/demo-model/make.sh [WORK]     WORK (default: build/demo-model) keeps corpora, runs and evaluation.
set -euo pipefail
cd "$(dirname "$0")/../.."
work=${1:-build/demo-model}
demo=runtime/cxrscribe/demo
bash train/drawn-model/make.sh train/demo-model "$work"

# Six sample films, of a third seed: one of them is normal, and the others show eleven kinds of finding.
cxrscribe corpus phantom --studies 6 --seed 4312 --out "$work/samples"
rm -rf "$demo"
mkdir -p "$demo/films"
cp -r "$work/bundle" "$demo/bundle"
cp "$work"/samples/images/*.png "$demo/films/"
cxrscribe inspect "$demo/bundle"
