#!/bin/bash
# fuzz.sh [SECONDS] [TARGET]…: fuzzes the untrusted input of zun-authz and of the console gate, each target for SECONDS (default: 60).
#
# It uses libFuzzer with stable Rust. `cargo fuzz` needs nightly only for a sanitizer, and there is no unsafe code here.
# New inputs go to target/fuzz/corpus. A failed check stops the run and leaves a file crash-* in target/fuzz.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$ROOT"

seconds=${1:-60}
shift || :
targets=("$@")
[ $# -gt 0 ] || targets=(request trusted_cas certificate line screen replies frames hello)
work=$TARGET/fuzz
# Coverage for libFuzzer, with overflow and debug checks.
export RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Ccodegen-units=1 -Cdebug-assertions -Coverflow-checks"
# With an explicit --target, cargo does not apply RUSTFLAGS to build scripts and macros.
host=$(rustc -vV | sed -n 's/^host: //p')
cargo build --locked --release -p zun-fuzz --features libfuzzer --bins --target "$host" --target-dir "$work"

for target in "${targets[@]}"; do
  mkdir -p "$work/corpus/$target"
  say "fuzzing $target for $seconds s"
  (cd "$work" && "$work/$host/release/$target" -max_total_time="$seconds" -max_len=65536 -timeout=10 -rss_limit_mb=1024 \
    -print_final_stats=1 "corpus/$target" "$ROOT/fuzz/corpus/$target")
done
