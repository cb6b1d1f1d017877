#!/usr/bin/env bash
# The demo and the tests marked `arm64` on an ARM64 Python, which QEMU runs on any Linux of Debian's kind: make test-arm64.
#
#     tests/arm64/run.sh FOLDER PYTHON
#
# FOLDER keeps what set_up.sh unpacks there. PYTHON has cxrscribe installed: what the demo says there, it has to say here.
set -euo pipefail
project=$(cd "$(dirname "$0")/../.." && pwd)
mkdir -p "$1"
folder=$(cd "$1" && pwd) python=$(command -v "$2")
cd "$project"
[ -e "$folder/.ready" ] || tests/arm64/set_up.sh "$folder" "$python"

# QEMU runs one program: the processes that a Python starts are Pythons again only by way of this script.
cat > "$folder/python" << END
#!/usr/bin/env bash
export PYTHONHOME=$folder/root/usr ARM64_PYTHON=$folder/python
export PYTHONPATH=$project/runtime:$project/models:$project/train:$project/export:$project/tests:$folder/packages
exec $folder/qemu/usr/bin/qemu-aarch64 -cpu max -L $folder/root $folder/root/usr/bin/python3.11 "\$@"
END
chmod +x "$folder/python"
echo 'import os, sys; sys.executable = os.environ["ARM64_PYTHON"]' > "$folder/packages/sitecustomize.py"

export CXRSCRIBE_CACHE="$folder/cache" ORT_DISABLE_TELEMETRY=1
"$folder/python" -c 'import platform; print("processor:", platform.machine())'
films=(runtime/cxrscribe/demo/films/*.png)
"$python" -m cxrscribe report "${films[@]}" --json > "$folder/here.jsonl" 2> /dev/null
"$folder/python" -m cxrscribe report "${films[@]}" --json > "$folder/arm64.jsonl"
"$python" tests/arm64/compare.py "$folder/here.jsonl" "$folder/arm64.jsonl"

# Only the files that have such tests: to import the others takes longer than their tests do.
mapfile -t marked < <(grep -rl --include='test_*.py' 'mark\.arm64' tests/runtime)
"$folder/python" -m pytest -p no:cacheprovider -m arm64 "${marked[@]}"
