# What the scripts of this folder share. Sourced, never run.
# shellcheck shell=bash
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
TARGET=${CARGO_TARGET_DIR:-$ROOT/target}
CACHE=$TARGET/test-cache
export PATH=$PATH:/usr/sbin:/sbin

say() { printf 'test services: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

need_root() {
  [ "$(id -u)" = 0 ] || fail "starting a container engine needs root; run this as root, or with: sudo -E $0 $*"
}

# wait_for SECONDS WHAT COMMAND…
wait_for() {
  local end=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$end" ] || { say "$what did not come up in time"; return 1; }
    sleep 0.1
  done
}

# The package sources of this machine, "deb URI SUITE COMPONENT" a line, and its proxy, if it has one.
sources() {
  apt-get indextargets --format 'deb $(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' | sort -u
}
suite() { . /etc/os-release && echo "$VERSION_CODENAME"; }
proxy() {
  local found=
  eval "$(apt-config shell found Acquire::http::Proxy)"
  echo "${found:-${http_proxy:-}}"
}
