#!/bin/bash
# Builds the programs and packs them with install.sh and its files into target/zun.tar.gz.
# ZUN_BIN: a directory of programs that are already built; nothing is built then.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$ROOT"
if [ -z "${ZUN_BIN:-}" ]; then
  command -v cargo >/dev/null || fail "cannot build: cargo is missing; install Rust from https://rustup.rs"
  deploy/web.sh build
  cargo build --release --locked -p zun-api -p zun-compute -p zun-authz -p zun-runtime -p zun-gate -p zunclient --bins >&2
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/zun/bin"
for name in zun zun-api zun-compute zun-authz zun-runtime zun-console; do install -s -m 755 "${ZUN_BIN:-$RELEASE}/$name" "$work/zun/bin/"; done
cp -r deploy/install.sh deploy/install deploy/systemd deploy/config docs/install.md "$work/zun/"
tar -C "$work" --owner=0 --group=0 -czf "$TARGET/zun.tar.gz" zun
say "wrote $TARGET/zun.tar.gz"
