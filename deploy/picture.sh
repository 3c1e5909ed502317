#!/bin/bash
# picture.sh: records a session with a standalone service of its own, and writes docs/session-light.svg and
# docs/session-dark.svg, which README shows.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$ROOT"
command -v cargo >/dev/null || fail "cannot build: cargo is missing; install Rust from https://rustup.rs"
cargo build --locked --workspace --bins >&2
programs=$TARGET/debug
work=$(mktemp -d)
own() { as_root "$programs/zun-standalone" "$1" --state "$work/state" --env-file "$work/env" "${@:2}"; }
finish() {
  own down || say "could not remove everything below $work"
  rm -rf "$work"
}
trap finish EXIT
own up --listen 127.0.0.1:0
as_root deploy/image.sh "$work/state/engine/docker.sock"
# Only root can read the settings of the service.
as_root env "XDG_STATE_HOME=$work/left" bash -c '. "$1" && PATH="$2:$PATH" && "$2/picture" docs' picture "$work/env" "$programs"
say "wrote docs/session-light.svg and docs/session-dark.svg"
