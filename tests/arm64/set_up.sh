#!/usr/bin/env bash
# Unpacks an ARM64 Python with what the runtime's tests need, and a QEMU that runs it, into a folder. Nothing is installed.
#
#     tests/arm64/set_up.sh FOLDER PYTHON
#
# PYTHON is one that has pip, of any version and processor.
set -euo pipefail
folder=$1 python=$2
project=$(cd "$(dirname "$0")/../.." && pwd)
debian=$project/examples/c/debian.sh

# QEMU 7.2, which Debian 12 has, crashes when onnxruntime is imported. 10 is statically linked: it runs on any release.
"$debian" trixie "$(dpkg --print-architecture)" "$folder/qemu" qemu-user

# Debian 12's Python is 3.11, for which onnx 1.17 has wheels.
"$debian" bookworm arm64 "$folder/root" python3.11-minimal libpython3.11-minimal libpython3.11-stdlib \
  libc6 libgcc-s1 libstdc++6 zlib1g libexpat1 libbz2-1.0 liblzma5 libffi8 libssl3 libsqlite3-0 libuuid1 media-types

requirements=(numpy pillow onnxruntime click pydicom imagecodecs onnx pytest hypothesis)
"$python" -m pip --quiet download --dest "$folder/wheels" --constraint "$project/constraints.txt" \
  --only-binary=:all: --python-version 3.11 --implementation cp \
  --platform manylinux_2_28_aarch64 --platform manylinux_2_27_aarch64 --platform manylinux_2_17_aarch64 \
  --platform manylinux2014_aarch64 "${requirements[@]}"
mkdir -p "$folder/packages"
for wheel in "$folder"/wheels/*.whl; do
  "$python" -m zipfile -e "$wheel" "$folder/packages"
done
touch "$folder/.ready"
