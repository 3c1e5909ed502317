# Functions and settings of the scripts in this directory. Sourced, never run.
# shellcheck shell=bash
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
TARGET=${CARGO_TARGET_DIR:-$ROOT/target}
RELEASE=$TARGET/release
# The state of the standalone service. Root owns it, so it is not in the clone.
STATE=${ZUN_STATE:-/var/lib/zun-standalone}
LISTEN=${ZUN_LISTEN:-127.0.0.1:9517}
ENV_FILE=$TARGET/zun.env

say() { printf 'zun: %s\n' "$*" >&2; }
fail() { say "$*"; exit 125; }

# as_root COMMAND…: runs the command as root, with sudo if the caller is not root.
as_root() {
  if [ "$(id -u)" = 0 ]; then "$@" </dev/null; return; fi
  command -v sudo >/dev/null || fail "this needs root, and sudo is missing: run it as root"
  sudo -- "$@" </dev/null
}

# Builds the programs and prints to stderr: stdout and stdin belong to the container.
build() {
  command -v cargo >/dev/null || fail "cannot build: cargo is missing; install Rust from https://rustup.rs"
  "$ROOT/deploy/web.sh" build
  local programs=(-p zunclient -p zun-compute -p zun-authz -p zun-runtime -p zun-gate -p zun-standalone)
  (cd "$ROOT" && cargo build --release --locked "${programs[@]}" --bins) </dev/null >&2
}

standalone() { as_root "$RELEASE/zun-standalone" "$1" --state "$STATE" --env-file "$ENV_FILE" "${@:2}"; }
