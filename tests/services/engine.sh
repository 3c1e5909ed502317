#!/bin/bash
# Makes another Debian release's Docker engine ready to run on this machine, beside the one that is installed,
# and prints the directory with the `dockerd` that starts it, to be put first in PATH.
#   engine.sh SUITE     such as trixie (Debian 13)
# Its packages are only unpacked. The engine runs in a mount namespace in which they lie over /usr: its own programs
# and libraries, and everything else (paths, sockets, network) as on this machine. The second time it is there.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

PACKAGES=docker.io,iptables,procps,kmod,mount,util-linux,coreutils,dash,tar,xz-utils

# The package sources of this machine, for that release.
sources_of() {
  local uri
  uri=$(sources | awk '$3 !~ /-/ && /main/ {print $2; exit}')
  [ -n "$uri" ] || fail "this machine has no package source to take $1 from"
  echo "deb $uri $1 main"
}

# The usr of that release, in the directory $2.
unpack() {
  local via
  via=$(proxy)
  work=$(mktemp -d "$CACHE/engine.XXXXXX")
  # By its name: at the exit the variable is gone.
  trap "rm -rf --one-file-system '$work'" EXIT
  chmod 755 "$work"
  mmdebstrap --quiet --mode=root --variant=extract --format=directory --include="$PACKAGES" \
    --dpkgopt="path-exclude=/usr/share/man/*" --dpkgopt="path-exclude=/usr/share/doc/*" \
    --dpkgopt="path-exclude=/usr/share/locale/*" \
    --aptopt='Acquire::Check-Valid-Until "false"' ${via:+--aptopt="Acquire::http::Proxy \"$via\""} \
    "$1" "$work/root" - 2>"$work/log" <<<"$(sources_of "$1")" || { tail -20 "$work/log" >&2; return 1; }
  mkdir -p "$2"
  mv "$work/root/usr" "$2/usr"
}

[ $# = 1 ] || { sed -n '2,7s/^# \?//p' "$0" >&2; exit 2; }
need_root
suite=$1
engine=$CACHE/engine-$suite
[ "$(suite)" != "$suite" ] || fail "$suite is this machine's own release: its engine needs no making"
if [ ! -x "$engine/bin/dockerd" ]; then
  command -v mmdebstrap >/dev/null || fail "mmdebstrap is missing; deploy/packages.sh test installs it"
  say "unpacking the Docker engine of Debian's $suite (about a minute, once)"
  mkdir -p "$CACHE"
  rm -rf --one-file-system "$engine"
  unpack "$suite" "$engine" || fail "the engine of $suite could not be made"
  mkdir -p "$engine/bin"
  cat >"$engine/bin/dockerd" <<WRAPPER
#!/bin/sh
# dockerd of Debian's $suite.
exec unshare --mount --propagation slave -- /bin/sh -c 'mount --rbind "\$0" /usr && exec /usr/sbin/dockerd "\$@"' '$engine/usr' "\$@"
WRAPPER
  chmod 755 "$engine/bin/dockerd"
fi
echo "$engine/bin"
