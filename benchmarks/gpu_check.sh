#!/usr/bin/env bash
# Does everything that only a GPU can show, in 8 minutes at most: docs/devices.md says what.
#
#   benchmarks/gpu_check.sh --python PATH [OPTION ...]   an environment that is ready
#   benchmarks/gpu_check.sh --wheels DIR [OPTION ...]    a folder of wheels, all of which go into a new environment
#
# Other options are those of `python -m cxrscribe_bench.scripts.gpu_check --help`. Without either, `python3` is taken.
set -euo pipefail

readonly MOST_SECONDS=480
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
python=python3
wheels=
options=()
while (($#)); do
    case "$1" in
        --python) python="${2:?--python needs a path}"; shift 2 ;;
        --wheels) wheels="${2:?--wheels needs a folder}"; shift 2 ;;
        *) options+=("$1"); shift ;;
    esac
done

if [[ -n "$wheels" ]]; then
    folder="$(mktemp -d)"
    trap 'rm -rf "$folder"' EXIT
    "$python" -m venv "$folder/env"
    python="$folder/env/bin/python"
    timeout "$MOST_SECONDS" "$python" -m pip install --quiet --no-index --find-links "$wheels" "$wheels"/*.whl
fi

# The code of this tree is what is checked, whatever the environment has.
for room in runtime export train benchmarks models tests; do
    PYTHONPATH="$root/$room${PYTHONPATH:+:$PYTHONPATH}"
done
export PYTHONPATH

left=$((MOST_SECONDS - SECONDS))
code=0
timeout --kill-after=10 "$((left > 0 ? left + 10 : 10))" \
    "$python" -m cxrscribe_bench.scripts.gpu_check --seconds "$((left > 0 ? left : 1))" "${options[@]}" || code=$?
exit "$code"
