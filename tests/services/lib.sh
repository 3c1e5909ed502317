# Functions and settings of the scripts in this directory. Sourced, never run.
# shellcheck shell=bash
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
TARGET=${CARGO_TARGET_DIR:-$ROOT/target}
CACHE=$TARGET/test-cache
export PATH=$PATH:/usr/sbin:/sbin

say() { printf 'test services: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

need_root() {
  [ "$(id -u)" = 0 ] || fail "starting a container engine needs root: run this as root or with: sudo -E $0 $*"
}

# wait_for SECONDS WHAT COMMAND…: repeats the command until it succeeds; fails after SECONDS.
wait_for() {
  local limit=$1 end=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$end" ] || { say "gave up waiting for $what after $limit s"; return 1; }
    sleep 0.1
  done
}

# sources, suite, proxy: print the package sources of this machine (lines "deb URI SUITE COMPONENT"), its Debian release,
# and its HTTP proxy, if any.
sources() {
  apt-get indextargets --format 'deb $(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' | sort -u
}
suite() { . /etc/os-release && echo "$VERSION_CODENAME"; }
proxy() {
  local found=
  eval "$(apt-config shell found Acquire::http::Proxy)"
  echo "${found:-${http_proxy:-}}"
}
