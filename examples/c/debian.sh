#!/bin/sh
# Unpacks packages of any Debian release into a folder. Nothing is installed, and no root is needed.
#
#     debian.sh SUITE ARCHITECTURE FOLDER PACKAGE...
#
# They come from the mirror that apt is set up with here, or from $DEBIAN_MIRROR. apt checks their signatures with the
# keys of the package debian-archive-keyring.
set -eu

[ $# -ge 4 ] || { echo "usage: debian.sh SUITE ARCHITECTURE FOLDER PACKAGE..." >&2; exit 2; }
suite=$1 architecture=$2 folder=$3
shift 3

mirror=${DEBIAN_MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' \
  'Label: Debian' | head -n 1)}
[ -n "$mirror" ] || { echo "apt has no mirror of Debian here: name one as DEBIAN_MIRROR" >&2; exit 1; }

# apt with lists of its own, so that this machine's aren't touched.
state=$(mktemp -d)
trap 'rm -rf "$state"' EXIT
chmod 755 "$state"
mkdir -p "$state/lists/partial" "$state/archives/partial" "$state/debs" "$folder"
: > "$state/status"
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" > "$state/sources.list"
cat > "$state/apt.conf" << END
Dir::Etc::SourceList "$state/sources.list";
Dir::Etc::SourceParts "-";
Dir::State::Lists "$state/lists";
Dir::State::Status "$state/status";
Dir::Cache "$state";
APT::Architecture "$architecture";
APT::Architectures { "$architecture"; };
APT::Sandbox::User "";
Acquire::Languages "none";
Acquire::Retries "3";
#clear APT::Update::Post-Invoke-Success;
#clear APT::Update::Post-Invoke;
END
export APT_CONFIG="$state/apt.conf"
apt-get -qq --error-on=any update
(cd "$state/debs" && apt-get -qq download "$@")
for package in "$state"/debs/*.deb; do
  dpkg-deb -x "$package" "$folder"
done
