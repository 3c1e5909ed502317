#!/bin/bash
# Installs missing Debian packages, and prints their names first.
#   packages.sh run    install what is needed to build and run the standalone service
#   packages.sh web    install what is needed to build the web console
#   packages.sh test   install all that and what the tests need
set -euo pipefail
. "$(dirname "$0")/lib.sh"

# COMMAND:PACKAGE. The package is installed if the command is missing.
RUN=(dockerd:docker.io docker:docker-cli containerd:containerd runc:runc iptables:iptables ip:iproute2
  mount:mount unshare:util-linux setsid:util-linux busybox:busybox-static tar:tar cc:gcc)
WEB=(node:nodejs npm:npm)
TEST=(mmdebstrap:mmdebstrap python3:python3-minimal chromium:chromium)

missing() {
  local pair command package
  for pair in "$@"; do
    command=${pair%%:*} package=${pair#*:}
    PATH=$PATH:/usr/sbin:/sbin command -v "$command" >/dev/null || echo "$package"
  done
  [ -s /etc/ssl/certs/ca-certificates.crt ] || echo ca-certificates
  [ -e /usr/include/stdlib.h ] || echo libc6-dev
  # Only a static busybox works inside an image.
  ! command -v busybox >/dev/null || ! ldd "$(command -v busybox)" >/dev/null 2>&1 || echo busybox-static
}

# Its server is not in PATH. The tests start their own; Debian's package also starts one, which they do not use.
missing_postgres() { compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null || echo postgresql; }

# The tests compare pictures of pages with these fonts.
# The tests set the clocks of services.
missing_faketime() { compgen -G "/usr/lib/*/faketime/libfaketimeMT.so.1" >/dev/null || echo libfaketime; }

missing_fonts() { [ -e /usr/share/fonts/truetype/dejavu/DejaVuSansMono.ttf ] || echo fonts-dejavu-core; }

# The tests install Keystone in a Python environment.
missing_venv() { python3 -c 'import ensurepip, venv' 2>/dev/null || echo python3-venv; }

# known PACKAGE: before Debian 13 there is no docker-cli, and the client is part of docker.io.
known() { [ -n "$(apt-cache show --no-all-versions "$1" 2>/dev/null)" ]; }

case ${1:-} in
  run) wanted=$(missing "${RUN[@]}" | sort -u) ;;
  web) wanted=$(missing "${WEB[@]}" | sort -u) ;;
  test) wanted=$({ missing "${RUN[@]}" "${WEB[@]}" "${TEST[@]}"; missing_postgres; missing_fonts; missing_faketime; missing_venv; } | sort -u) ;;
  *) sed -n "3,5s/^# *//p" "$0" >&2; exit 2 ;;
esac
[ -n "$wanted" ] || exit 0

command -v apt-get >/dev/null || fail "cannot install the packages ${wanted//$'\n'/ }: there is no apt-get on this machine; install them by hand"
how=
[ "$(id -u)" = 0 ] || how=' with sudo'
say "installing the missing Debian packages$how: ${wanted//$'\n'/ }"
as_root apt-get update -q >&2
packages=()
for package in $wanted; do
  if [ "$package" = docker-cli ] && ! known docker-cli; then package=docker.io; fi
  packages+=("$package")
done
as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "${packages[@]}" >&2 \
  || fail "cannot install the packages: see the output of apt-get above"
