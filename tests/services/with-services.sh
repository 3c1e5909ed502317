#!/bin/bash
# with-services.sh COMMAND…: starts the services that the tests need, runs the command, and stops the services.
#
#   a private container engine      ZUN_TEST_DOCKER=unix://…   with busybox:latest and cirros:latest (the same image)
#   RabbitMQ in a container         ZUN_TEST_AMQP=amqp://…, ZUN_TEST_RABBIT_API=http://…, ZUN_TEST_RABBIT_CONTAINER=…,
#                                   ZUN_TEST_RABBIT_LOCK=FILE, the lock for exclusive use
#   PostgreSQL                      ZUN_TEST_POSTGRES=postgres://…, by postgres.sh
#   Keystone                        ZUN_TEST_KEYSTONE=FILE, ZUN_TEST_OPENSTACK=DIR, by keystone.sh
#   the standalone, if it is built  ZUN_TEST_STANDALONE=FILE, its environment file
#   Debian's docker-registry        ZUN_TEST_REGISTRY=FILE, the program, not started
#
# Options in the environment: ZUN_TEST_ENGINE=SUITE uses the engine of that Debian release, such as trixie (default: the
# installed one). ZUN_TEST_PROFILE=release uses the standalone of a release build.
#
# It does not touch the machine's own engine: data, runtime files, bridge and containerd namespace are separate. It first
# removes what a killed run has left. A second run in the same tree waits for the first.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

STATE=$TARGET/test-services
SOCKET=$STATE/docker.sock
NAME=zun-test-rabbitmq
STANDALONE=$TARGET/${ZUN_TEST_PROFILE:-debug}/zun-standalone
USERNAME=zun-test
PASSWORD=$(head -c 12 /dev/urandom | base64 | tr -dc 'a-zA-Z0-9')

# --- the engine ----------------------------------------------------------------------------------
start_engine() {
  local bridge
  mkdir -p "$STATE/data" "$STATE/run"
  bridge=$(make_bridge)
  echo '{}' >"$STATE/daemon.json"
  # No iptables rules: the containers only need to reach the machine, which works over the bridge.
  setsid dockerd --config-file "$STATE/daemon.json" --data-root "$STATE/data" --exec-root "$STATE/run" \
    --pidfile "$STATE/dockerd.pid" -H "unix://$SOCKET" --bridge "$bridge" --iptables=false --ip-masq=false \
    --ip-forward=false --containerd-namespace zun-test --containerd-plugins-namespace zun-test-plugins \
    --log-level warn >"$STATE/dockerd.log" 2>&1 9>&- &
  export DOCKER_HOST=unix://$SOCKET
  wait_for 60 dockerd docker version || { tail -20 "$STATE/dockerd.log" >&2; exit 1; }
}

# make_bridge: creates a bridge with an address, prints its name, and records it for clean.
make_bridge() {
  local number
  for number in $(seq 0 9); do
    ip -4 address show | grep -q " 10\.213\.$((240 + number))\." && continue
    ip link add "zunt$number" type bridge 2>/dev/null || continue
    echo "zunt$number" >"$STATE/bridge"
    ip address add "10.213.$((240 + number)).1/24" dev "zunt$number"
    ip link set "zunt$number" up
    cat "$STATE/bridge"
    return
  done
  fail "cannot create a bridge for the test engine: all of zunt0 to zunt9, or their networks in 10.213.240.0/20, are in use"
}

load_busybox() {
  local root=$STATE/busybox link
  mkdir -p "$root/bin" "$root/tmp" "$root/root" "$root/etc"
  cp "$(command -v busybox)" "$root/bin/busybox"
  for link in $("$root/bin/busybox" --list); do
    [ "$link" = busybox ] || ln -sf busybox "$root/bin/$link"
  done
  echo 'root:x:0:0:root:/root:/bin/sh' >"$root/etc/passwd"
  echo 'root:x:0:' >"$root/etc/group"
  tar -C "$root" --numeric-owner --owner=0 --group=0 -c . | docker import -c 'CMD ["/bin/sh"]' - busybox:latest >/dev/null
  docker tag busybox:latest cirros:latest
}

# --- RabbitMQ ------------------------------------------------------------------------------------
# free_ports: prints four different ports on which nothing answers.
free_ports() {
  local port found=
  while [ "$(wc -w <<<"$found")" -lt 4 ]; do
    port=$((20000 + RANDOM % 12000))
    case " $found " in *" $port "*) continue ;; esac
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || found+=" $port"
  done
  echo $found
}

# amqp_answers PORT: succeeds if the broker answers the AMQP greeting with a method frame, whose first byte is 1.
amqp_answers() {
  exec 3<>"/dev/tcp/127.0.0.1/$1" || return 1
  printf 'AMQP\0\0\011\001' >&3
  [ "$(timeout 2 head -c1 <&3 | od -An -tu1 | tr -d ' ')" = 1 ]
  local answered=$?
  exec 3>&-
  return "$answered"
}

start_rabbitmq() {
  local image amqp api nodes epmd
  image=$("$(dirname "$0")/rabbitmq-image.sh")
  read -r amqp api nodes epmd < <(free_ports)
  docker run -d --name "$NAME" --network host --memory 1g --stop-timeout 10 \
    -e RABBITMQ_NODENAME="zun-test@localhost" -e RABBITMQ_NODE_IP_ADDRESS=127.0.0.1 -e RABBITMQ_NODE_PORT="$amqp" \
    -e RABBITMQ_DIST_PORT="$nodes" -e ERL_EPMD_PORT="$epmd" -e ERL_EPMD_ADDRESS=127.0.0.1 \
    -e RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-kernel inet_dist_use_interface {127,0,0,1} -rabbitmq_management listener [{port,$api},{ip,\"127.0.0.1\"}]" \
    -e RABBITMQ_DEFAULT_USER="$USERNAME" -e RABBITMQ_DEFAULT_PASS="$PASSWORD" "$image" >/dev/null
  wait_for 60 RabbitMQ amqp_answers "$amqp" || { docker logs --tail 30 "$NAME" >&2; exit 1; }
  export ZUN_TEST_AMQP="amqp://$USERNAME:$PASSWORD@127.0.0.1:$amqp/%2f"
  export ZUN_TEST_RABBIT_API="http://$USERNAME:$PASSWORD@127.0.0.1:$api"
  export ZUN_TEST_RABBIT_CONTAINER=$NAME ZUN_TEST_RABBIT_LOCK=$STATE/rabbitmq.lock
}

# --- the standalone service, if it is built ---------------------------------------------------
start_standalone() {
  local port socket=$STATE/standalone/engine/docker.sock
  [ -x "$STANDALONE" ] || { say "zun-standalone is not built, so its tests will fail; build it with: cargo build --workspace --bins"; return 0; }
  read -r port _ < <(free_ports)
  "$STANDALONE" up --state "$STATE/standalone" --listen "127.0.0.1:$port" --env-file "$STATE/standalone.env" \
    >"$STATE/standalone.log" 2>&1 9>&- \
    || { tail -5 "$STATE/standalone.log" >&2; say "zun-standalone did not start (see its output above), so its tests will fail"; return 0; }
  docker save cirros:latest | docker -H "unix://$socket" load -q >/dev/null
  export ZUN_TEST_STANDALONE=$STATE/standalone.env
}

# --- cleanup, also after a killed run ----------------------------------------------------
# ours: prints the pids of the engine, its containerd and its shims. Their command line contains our directory.
ours() {
  local line pid
  for line in /proc/[0-9]*/cmdline; do
    pid=${line#/proc/}
    pid=${pid%/cmdline}
    [ "$pid" != $$ ] || continue
    case $(tr '\0' ' ' 2>/dev/null <"$line" || :) in
      *dockerd*"$STATE/"* | *containerd*"$STATE/"*) echo "$pid" ;;
    esac
  done
}

descendants() {
  local child
  for child in $(cat "/proc/$1/task/$1/children" 2>/dev/null || :); do
    descendants "$child"
    echo "$child"
  done
}

gone() { [ -z "$(ours)" ]; }

clean() {
  local pid mount
  if [ -e "$STATE/standalone" ] && [ -x "$STANDALONE" ]; then
    "$STANDALONE" down --state "$STATE/standalone" --env-file "$STATE/standalone.env" >&2 || :
  fi
  if docker -H "unix://$SOCKET" version >/dev/null 2>&1; then
    docker -H "unix://$SOCKET" ps -aq | xargs -r docker -H "unix://$SOCKET" rm -f >/dev/null 2>&1 || :
  fi
  if [ -s "$STATE/dockerd.pid" ]; then
    pid=$(cat "$STATE/dockerd.pid")
    case " $(ours | tr '\n' ' ') " in *" $pid "*) kill "$pid" 2>/dev/null || : ;; esac
    wait_for 15 'the end of dockerd' gone || :
  fi
  for pid in $(ours); do
    # shellcheck disable=SC2046
    kill -9 $(descendants "$pid") "$pid" 2>/dev/null || :
  done
  awk -v under="$STATE/" 'index($2, under) == 1 {print $2}' /proc/mounts | sort -r | while read -r mount; do
    umount -l "$mount" || :
  done
  [ ! -s "$STATE/bridge" ] || ip link del "$(cat "$STATE/bridge")" 2>/dev/null || :
  remove_drop_rules
  rm -rf --one-file-system "$STATE"
}

# remove_drop_rules: removes the iptables rules of killed tests. Each rule names the process that added it.
remove_drop_rules() {
  local rule pid
  iptables -w 10 -S INPUT 2>/dev/null | grep -- '--comment zun-test-dropped-' | while read -r rule; do
    pid=${rule##*zun-test-dropped-}
    pid=${pid%%[!0-9]*}
    # shellcheck disable=SC2086
    [ -e "/proc/$pid" ] || iptables -w 10 -D ${rule#-A } || :
  done || :
}

# --- the command --------------------------------------------------------------------
child=

# ended PID: succeeds if the process is gone or a zombie.
ended() { [ ! -e "/proc/$1" ] || grep -q '^State:.Z' "/proc/$1/status"; }

# interrupted CODE: stops the command with everything that it started, and then the services.
interrupted() {
  trap '' INT TERM HUP
  if [ -n "$child" ]; then
    # shellcheck disable=SC2046
    kill -TERM $(descendants "$child") "$child" 2>/dev/null || :
    wait_for 10 'the end of the command' ended "$child" || kill -9 $(descendants "$child") "$child" 2>/dev/null || :
  fi
  exit "$1"
}

finish() {
  trap '' INT TERM HUP
  clean
}

[ $# -gt 0 ] || { sed -n '2,16s/^# \?//p' "$0" >&2; exit 2; }
need_root "$@"
[ ${#SOCKET} -le 90 ] || fail "the path $SOCKET is too long for a unix socket: use a shorter CARGO_TARGET_DIR"
"$ROOT/deploy/packages.sh" test

if [ -n "${ZUN_TEST_ENGINE:-}" ] && [ "$ZUN_TEST_ENGINE" != "$(suite)" ]; then
  programs=$("$(dirname "$0")/engine.sh" "$ZUN_TEST_ENGINE")
  PATH=$programs:$PATH
fi

mkdir -p "$TARGET"
exec 9>"$TARGET/test-services.lock"
flock -n 9 || { say "another run in this tree uses the services; waiting for it to end"; flock 9; }
trap finish EXIT
trap 'interrupted 130' INT
trap 'interrupted 143' TERM HUP
clean
started=$SECONDS
start_engine
load_busybox
start_rabbitmq
start_standalone
ZUN_TEST_REGISTRY=$("$(dirname "$0")/registry.sh")
export ZUN_TEST_REGISTRY
export ZUN_TEST_DOCKER=unix://$SOCKET
# The tests of conditions append their results to this file.
ZUN_TEST_ENGINE_VERSION=$(docker version --format '{{.Server.Version}} (API {{.Server.APIVersion}})')
export ZUN_TEST_ENGINE_VERSION ZUN_TEST_RESULTS=${ZUN_TEST_RESULTS:-$TARGET/conditions.jsonl}
unset DOCKER_HOST
say "ready after $((SECONDS - started)) s"
"$(dirname "$0")/keystone.sh" "$(dirname "$0")/postgres.sh" "$@" <&0 9>&- &
child=$!
code=0
wait "$child" || code=$?
child=
exit "$code"
