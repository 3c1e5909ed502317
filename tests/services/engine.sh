#!/bin/bash
# Unpacks the Docker engine of another Debian release, and prints the directory of a `dockerd` that starts it. Put that
# directory first in PATH.
#   engine.sh SUITE     such as trixie (Debian 13)
# Its packages are not installed, only unpacked (once, into the cache). The engine runs in a mount namespace where they
# replace /usr. It uses its own programs and libraries, and the paths, sockets and network of this machine.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

PACKAGES=docker.io,iptables,procps,kmod,mount,util-linux,coreutils,dash,tar,xz-utils

# sources_of SUITE: prints the package source of this machine for that release.
sources_of() {
  local uri
  uri=$(sources | awk '$3 !~ /-/ && /main/ {print $2; exit}')
  [ -n "$uri" ] || fail "cannot find a package mirror for $1: apt has no source on this machine"
  echo "deb $uri $1 main"
}

# unpack SUITE DIRECTORY: unpacks /usr of that release into the directory.
unpack() {
  local via
  via=$(proxy)
  work=$(mktemp -d "$CACHE/engine.XXXXXX")
  # Expanded now: the variable is local and unset at exit.
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

[ $# = 1 ] || { sed -n '2,6s/^# \?//p' "$0" >&2; exit 2; }
need_root
suite=$1
engine=$CACHE/engine-$suite
[ "$(suite)" != "$suite" ] || fail "$suite is this machine's own release: use the installed engine"
if [ ! -x "$engine/bin/dockerd" ]; then
  command -v mmdebstrap >/dev/null || fail "cannot unpack the engine of $suite: mmdebstrap is missing; install it with deploy/packages.sh test"
  say "unpacking the Docker engine of Debian $suite (takes about a minute, only once)"
  mkdir -p "$CACHE"
  rm -rf --one-file-system "$engine"
  unpack "$suite" "$engine" || fail "cannot unpack the engine of $suite: see the output above"
  mkdir -p "$engine/bin"
  cat >"$engine/bin/dockerd" <<WRAPPER
#!/bin/sh
# dockerd of Debian $suite.
exec unshare --mount --propagation slave -- /bin/sh -c 'mount --rbind "\$0" /usr && exec /usr/sbin/dockerd "\$@"' '$engine/usr' "\$@"
WRAPPER
  chmod 755 "$engine/bin/dockerd"
fi
echo "$engine/bin"
