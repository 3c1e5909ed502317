#!/bin/bash
# image.sh SOCKET: makes sure that the engine on SOCKET has the image `cirros`. If no registry answers within 5 seconds,
# or the pull fails, it builds the image from this machine's busybox-static. Needs root.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

IMAGE=cirros:latest
# Seconds for the whole pull, once a registry has answered.
PULL=120

engine() { docker --host "unix://$SOCKET" "$@"; }

# pull: fails unless the client prints its first line from the registry within 5 s.
pull() {
  local line answered= client code=0
  exec 3< <(exec timeout "$PULL" docker --host "unix://$SOCKET" pull "$IMAGE" 2>&1)
  client=$!
  while read -r -t 5 line <&3; do
    case $line in *'Pulling from'*) answered=yes; break ;; esac
  done
  [ -n "$answered" ] || kill "$client" 2>/dev/null || :
  cat <&3 >/dev/null
  wait "$client" || code=$?
  exec 3<&-
  [ -n "$answered" ] && [ "$code" = 0 ]
}

# busybox_root: writes a tar of a root file system that contains only busybox to stdout.
busybox_root() (
  directory=$(mktemp -d)
  trap 'rm -rf "$directory"' EXIT
  cd "$directory"
  mkdir -p bin etc root tmp var/run proc sys dev
  chmod 1777 tmp
  chmod 700 root
  cp "$(command -v busybox)" bin/busybox
  for applet in $(bin/busybox --list); do
    [ "$applet" = busybox ] || ln -s busybox "bin/$applet"
  done
  printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n' >etc/passwd
  printf 'root:x:0:\nnogroup:x:65534:\n' >etc/group
  tar --numeric-owner --owner=0 --group=0 -c .
)

[ $# = 1 ] || fail "usage: image.sh SOCKET"
SOCKET=$1
if engine image inspect "$IMAGE" >/dev/null 2>&1; then exit 0; fi
if pull; then
  say "pulled the image $IMAGE"
  exit 0
fi
busybox_root | engine import \
  -c 'ENV PATH=/bin' -c 'ENV HOME=/root' -c 'CMD ["/bin/sh"]' -c 'LABEL org.openstack.zun.made-of=busybox-static' \
  - "$IMAGE" >/dev/null
say "cannot pull $IMAGE from a registry: built an image from this machine's busybox and tagged it $IMAGE"
