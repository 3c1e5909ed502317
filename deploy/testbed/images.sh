#!/bin/bash
# Builds the images of the hosts from Debian packages, without a registry, in the testbed's engine. Each root file system is
# built once and kept as a tar in target/test-cache.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

BASE=systemd,systemd-sysv,dbus,iproute2,iptables,ca-certificates,procps,openssl,busybox-static,curl
# Packages that install.sh would install. The images contain them because the hosts cannot reach a mirror.
CONTROLLER=$BASE,rabbitmq-server
COMPUTE=$BASE,docker.io

# sources_of SUITE: prints lines `deb URI SUITE COMPONENT` for another suite of this machine's mirror.
sources_of() {
  local own
  own=$(suite)
  sources | awk -v own="$own" -v wanted="$1" '$3 == own || index($3, own "-") == 1 {sub("^" own, wanted, $3); print}' | sort -u
}

# configure ROOT: adapts the root file system to a container. It makes the control groups writable for PID 1, and disables
# units that would change the whole machine (sysctls, modules, devices, the clock).
configure() {
  local root=$1 unit
  cat >"$root/sbin/testbed-init" <<'INIT'
#!/bin/sh
awk '$3 == "cgroup" || $3 == "cgroup2" {print $2}' /proc/mounts | while read -r at; do mount -o remount,bind,rw "$at"; done
mount --make-rshared /
[ -e /dev/kmsg ] || ln -s /dev/null /dev/kmsg
exec /sbin/init
INIT
  chmod 755 "$root/sbin/testbed-init"
  for unit in systemd-sysctl.service systemd-modules-load.service systemd-udevd.service systemd-timesyncd.service \
    systemd-networkd.service systemd-networkd.socket systemd-networkd-wait-online.service \
    sys-kernel-debug.mount sys-kernel-tracing.mount sys-kernel-config.mount dev-hugepages.mount \
    apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer fstrim.timer getty.target console-getty.service; do
    ln -sf /dev/null "$root/etc/systemd/system/$unit"
  done
  ln -sf /lib/systemd/system/multi-user.target "$root/etc/systemd/system/default.target"
  : >"$root/etc/machine-id"
  rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/* "$root"/var/lib/rabbitmq/mnesia
}

# bootstrap SUITE PACKAGES: writes a tar of the root file system to stdout. The mounts end with their namespace.
bootstrap() {
  local via
  via=$(proxy)
  HOOK=$(declare -f configure) SOURCES=$(sources_of "$1") SUITE=$1 PACKAGES=$2 VIA=$via \
    unshare -m --propagation private bash -euo pipefail -c '
      work=$(mktemp -d /var/tmp/zun-testbed.XXXXXX)
      trap "umount -l $work 2>/dev/null || :; rm -rf --one-file-system $work" EXIT
      mount -t tmpfs -o size=3g,mode=755 tmpfs "$work" 2>/dev/null || :
      printf "%s\nconfigure \"\$1\"\n" "$HOOK" >"$work/hook"
      TMPDIR=$work mmdebstrap --quiet --mode=root --variant=minbase --format=tar --include="$PACKAGES" \
        --dpkgopt=force-unsafe-io --dpkgopt="path-exclude=/usr/share/man/*" \
        --dpkgopt="path-exclude=/usr/share/doc/*" --dpkgopt="path-exclude=/usr/share/locale/*" \
        --aptopt="Acquire::Check-Valid-Until \"false\"" ${VIA:+--aptopt="Acquire::http::Proxy \"$VIA\""} \
        --customize-hook="bash -eu $work/hook \"\$1\"" "$SUITE" - - 2>"$work/log" <<<"$SOURCES" \
        || { tail -20 "$work/log" >&2; exit 1; }'
}

# image NAME SUITE PACKAGES: builds the image unless the engine has it.
image() {
  local name=$1 hash tar
  hash=$({ sources_of "$2"; echo "$2 $3"; declare -f configure bootstrap; } | sha256sum | cut -c1-12)
  tar=$CACHE/$name-$hash.tar
  if ! engine image inspect "$name:$hash" >/dev/null 2>&1; then
    if [ ! -s "$tar" ]; then
      say "building the image $name from Debian packages ($2; takes a minute or two, only once)"
      mkdir -p "$CACHE"
      rm -f "$CACHE/$name"-*.tar
      bootstrap "$2" "$3" >"$tar.part" || { rm -f "$tar.part"; fail "cannot build the image $name: see the output above"; }
      mv "$tar.part" "$tar"
    fi
    engine import -c 'ENV container=docker' -c 'ENV LANG=C.UTF-8' -c 'VOLUME /var/lib/docker' \
      -c 'ENTRYPOINT ["/sbin/testbed-init"]' - "$name:$hash" <"$tar" >/dev/null
  fi
  engine tag "$name:$hash" "$name:latest"
}

image zunbed-controller bookworm "$CONTROLLER"
image zunbed-compute12 bookworm "$COMPUTE"
image zunbed-compute13 trixie "$COMPUTE,docker-cli"
