#!/bin/sh
# What an image holds: cxrscribe and what it needs, slim, with byte code and the cache that quick starts are made of.
#
#   build.sh CHECKOUT FOLDER      fills FOLDER/packages and FOLDER/cache; the Containerfile runs it as root
set -eu
checkout=$(cd "$1" && pwd)
mkdir -p "$2"
folder=$(cd "$2" && pwd)
python=${PYTHON:-python3}
unset PYTHONDONTWRITEBYTECODE

"$python" -m pip install --quiet --disable-pip-version-check --no-compile --target "$folder/packages" \
  --constraint "$checkout/constraints.txt" "$checkout[cpu,dicom,serve]"
"$python" "$checkout/examples/deploy/slim.py" "$folder/packages"

# A run writes the byte code of just what is imported, and the cache: neither can be written where the root is
# read-only. Films come over HTTP and are read by processes of their own, so these run once, too.
export PYTHONPATH="$folder/packages" CXRSCRIBE_CACHE="$folder/cache"
films=$("$python" -c 'import cxrscribe; print(cxrscribe.demo_films()[0])')
for precision in ${PRECISIONS:-fp32}; do
  "$python" -P -m cxrscribe report --precision "$precision" --device cpu --isolate all "$films"
done
"$python" -P -c 'import cxrscribe.server.listening, pydicom.pixels, imagecodecs'
chmod -R go-w "$folder"
du -sk "$folder/packages" "$folder/cache"
