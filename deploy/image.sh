#!/bin/bash
# Makes sure that an engine has the image `cirros`: from its registry where one answers within 5 seconds,
# else made of this machine's busybox-static. Run as root.
#   image.sh SOCKET
set -euo pipefail
. "$(dirname "$0")/lib.sh"

IMAGE=cirros:latest
# A registry that answers has this long to send it.
PULL=120

engine() { docker --host "unix://$SOCKET" "$@"; }

# Pulls. The client's first line from the registry must be there within 5 s.
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

# A root file system with nothing but busybox, as a tar.
busybox_root() (
  folder=$(mktemp -d)
  trap 'rm -rf "$folder"' EXIT
  cd "$folder"
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

SOCKET=${1:?which engine\'s socket\?}
if engine image inspect "$IMAGE" >/dev/null 2>&1; then exit 0; fi
if pull; then
  say "pulled the image $IMAGE"
  exit 0
fi
busybox_root | engine import \
  -c 'ENV PATH=/bin' -c 'ENV HOME=/root' -c 'CMD ["/bin/sh"]' -c 'LABEL org.openstack.zun.made-of=busybox-static' \
  - "$IMAGE" >/dev/null
say "no registry answered within 5 s: made the image $IMAGE of this machine's busybox-static"
