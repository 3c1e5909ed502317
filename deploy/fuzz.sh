#!/bin/bash
# fuzz.sh [SECONDS] [TARGET]…: fuzzes what zun-authz reads from strangers, each target for so long (60).
#
# libFuzzer with any stable Rust: what `cargo fuzz` asks a nightly for is only a sanitizer, and there is no unsafe
# code to watch here. New inputs go to target/fuzz/corpus; a broken promise stops it and leaves crash-* beside.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$ROOT"

seconds=${1:-60}
shift || :
targets=("$@")
[ $# -gt 0 ] || targets=(request trusted_cas certificate line)
work=$TARGET/fuzz
# Coverage for libFuzzer, and overflow and debug checks on.
export RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Ccodegen-units=1 -Cdebug-assertions -Coverflow-checks"
# For a target named, RUSTFLAGS are not for build scripts and macros.
host=$(rustc -vV | sed -n 's/^host: //p')
cargo build --locked --release -p zun-fuzz --features libfuzzer --bins --target "$host" --target-dir "$work"

for target in "${targets[@]}"; do
  mkdir -p "$work/corpus/$target"
  say "$target, $seconds seconds"
  (cd "$work" && "$work/$host/release/$target" -max_total_time="$seconds" -max_len=65536 -timeout=10 -rss_limit_mb=1024 \
    -print_final_stats=1 "corpus/$target" "$ROOT/fuzz/corpus/$target")
done
