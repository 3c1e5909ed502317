#!/bin/bash
# Prints the path of Debian's docker-registry. Its package is only unpacked, because an installed one would start.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
if command -v docker-registry; then exit; fi
place=$CACHE/docker-registry
if [ ! -x "$place/usr/bin/docker-registry" ]; then
  mkdir -p "$CACHE"
  work=$(mktemp -d "$CACHE/registry.XXXXXX")
  trap 'rm -rf --one-file-system "$work"' EXIT
  # apt warns that its user _apt cannot write here. That is harmless.
  (cd "$work" && apt-get download -q docker-registry >&2) || fail "cannot download the package docker-registry: see the output of apt-get above"
  dpkg -x "$work"/docker-registry_*.deb "$work/root"
  rm -rf --one-file-system "$place"
  mv "$work/root" "$place"
fi
echo "$place/usr/bin/docker-registry"
