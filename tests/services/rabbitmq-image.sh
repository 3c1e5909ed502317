#!/bin/bash
# Makes sure that the engine has the tests' RabbitMQ image, and prints its name.
#   rabbitmq-image.sh          import it into the engine that DOCKER_HOST names
#   rabbitmq-image.sh --cache  only build the root file system, in target/test-cache
# It is built once from this machine's Debian packages, without a registry.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

PACKAGES=rabbitmq-server,ca-certificates

# configure ROOT: configures RabbitMQ in the new root file system. It is part of the recipe, so the image's name depends
# on it.
configure() {
  local root=$1
  cat >"$root/etc/rabbitmq/rabbitmq.conf" <<'CONF'
loopback_users = none
log.console = true
log.console.level = warning
log.file = false
vm_memory_high_watermark.absolute = 1GB
disk_free_limit.absolute = 50MB
max_message_size = 134217728
CONF
  echo '[rabbitmq_management].' >"$root/etc/rabbitmq/enabled_plugins"
  rm -rf "$root"/var/lib/rabbitmq/mnesia "$root"/var/lib/rabbitmq/.erlang.cookie
  echo ZUNTESTCOOKIE >"$root/var/lib/rabbitmq/.erlang.cookie"
  chmod 400 "$root/var/lib/rabbitmq/.erlang.cookie"
  chroot "$root" chown -R rabbitmq: /var/lib/rabbitmq /etc/rabbitmq
  rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*
}

CHANGES=(
  -c 'ENV HOME=/var/lib/rabbitmq' -c 'ENV LANG=C.UTF-8' -c 'ENV RABBITMQ_LOGS=-'
  -c 'ENV PATH=/usr/lib/rabbitmq/bin:/usr/sbin:/usr/bin:/sbin:/bin'
  -c 'WORKDIR /var/lib/rabbitmq' -c 'USER rabbitmq' -c 'ENTRYPOINT ["rabbitmq-server"]'
)

recipe() {
  { sources; echo "$PACKAGES"; declare -f configure bootstrap; printf '%s\n' "${CHANGES[@]}"; } | sha256sum | cut -c1-12
}

# bootstrap: writes a tar of the root file system to stdout. The mounts end with their namespace.
bootstrap() {
  command -v mmdebstrap >/dev/null || fail "cannot build the RabbitMQ image: mmdebstrap is missing; install it with deploy/packages.sh test"
  local via
  via=$(proxy)
  HOOK=$(declare -f configure) SOURCES=$(sources) SUITE=$(suite) PACKAGES=$PACKAGES VIA=$via \
    unshare -m --propagation private bash -euo pipefail -c '
      work=$(mktemp -d /var/tmp/zun-test.XXXXXX)
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

need_root
hash=$(recipe)
image=zun-test-rabbitmq:$hash
tar=$CACHE/zun-test-rabbitmq-$hash.tar
if [ ! -s "$tar" ]; then
  mkdir -p "$CACHE"
  say "building the RabbitMQ image from Debian packages (takes about a minute, only once)"
  rm -f "$CACHE"/zun-test-rabbitmq-*.tar
  bootstrap >"$tar.part" || { rm -f "$tar.part"; fail "cannot build the RabbitMQ image: see the output above"; }
  mv "$tar.part" "$tar"
fi
if [ "${1:-}" != --cache ] && ! docker image inspect "$image" >/dev/null 2>&1; then
  docker import "${CHANGES[@]}" - "$image" <"$tar" >/dev/null
fi
echo "$image"
