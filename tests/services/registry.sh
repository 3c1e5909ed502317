#!/bin/bash
# Prints the path of Debian's docker-registry. Its package is only unpacked: installed, it would begin to serve.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
if command -v docker-registry; then exit; fi
place=$CACHE/docker-registry
if [ ! -x "$place/usr/bin/docker-registry" ]; then
  mkdir -p "$CACHE"
  work=$(mktemp -d "$CACHE/registry.XXXXXX")
  trap 'rm -rf --one-file-system "$work"' EXIT
  # The packager's own user may not write here, which is no error.
  (cd "$work" && apt-get download -q docker-registry >&2) || fail "docker-registry could not be downloaded"
  dpkg -x "$work"/docker-registry_*.deb "$work/root"
  rm -rf --one-file-system "$place"
  mv "$work/root" "$place"
fi
echo "$place/usr/bin/docker-registry"
