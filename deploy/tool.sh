#!/bin/bash
# tool.sh NAME ARGUMENT…: runs a program of `make check` or `make docs` that does not come with Rust. Installs it from
# crates.io into target/tools first, once for each version: cargo-deny takes about 80 seconds on two cores, cargo-machete
# 45, mdbook some minutes. A program of the same name elsewhere is not used, so that the result does not depend on the
# machine.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

declare -A VERSIONS=([cargo-deny]=0.20.2 [cargo-machete]=0.9.2 [mdbook]=0.5.4)

name=${1:?NAME is missing}
version=${VERSIONS[$name]:-}
[ -n "$version" ] || fail "there is no tool $name: choose one of ${!VERSIONS[*]}"
program=$TARGET/tools/$name-$version/bin/$name
if [ ! -x "$program" ]; then
  say "installing $name $version into $TARGET/tools"
  # Without optimization it is built in a fraction of the time, and is fast enough.
  cargo install --quiet --locked --debug --root "$TARGET/tools/$name-$version" --target-dir "$TARGET/tools/build" \
    "$name@$version" >&2 || fail "cannot install $name $version from crates.io: see the output of cargo above"
  rm -rf "$TARGET/tools/build"
fi
cd "$ROOT"
exec "$program" "${@:2}"
