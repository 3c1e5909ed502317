# Functions and settings of the testbed's scripts. Sourced, never run.
# shellcheck shell=bash
. "$(dirname "${BASH_SOURCE[0]}")/../../tests/services/lib.sh"
TESTBED=$TARGET/testbed
SOCKET=$TESTBED/docker.sock
# The engine needs its own default bridge. The hosts are on a second one, where they have fixed addresses.
DEFAULT=zunbed0
BRIDGE=zunbed1
NETWORK=zunbed
SUBNET=10.214.77
# The hosts: name, image, last number of the address.
HOSTS=(controller:zunbed-controller:10 compute1:zunbed-compute12:11 compute2:zunbed-compute13:12)

say() { printf 'testbed: %s\n' "$*" >&2; }
engine() { docker --host "unix://$SOCKET" "$@"; }
# on HOST COMMAND…
on() { engine exec -i "$1" "${@:2}"; }
address() {
  local host
  for host in "${HOSTS[@]}"; do [ "${host%%:*}" != "$1" ] || echo "$SUBNET.${host##*:}"; done
}

# owner: prints the directory of the testbed that runs on this machine (the alias of its bridge). Fails if none runs.
owner() { [ -e "/sys/class/net/$DEFAULT" ] && cat "/sys/class/net/$DEFAULT/ifalias"; }

# no_other: fails if another clone's testbed runs. Names and addresses are fixed, so there can only be one.
no_other() {
  local other
  other=$(owner) || return 0
  [ "${other:-$TESTBED}" = "$TESTBED" ] || fail "another testbed runs on this machine, in $other: run make testbed-down there first"
}

# --- the testbed's engine, separate from the machine's ----------------------------------------------
start_engine() {
  if engine version >/dev/null 2>&1; then return; fi
  ! owner >/dev/null || fail "a killed run has left the bridge $DEFAULT: run make testbed-down"
  ip -4 address show | grep -q " ${SUBNET//./\\.}\." && fail "the addresses $SUBNET.0/24 are in use on this machine"
  mkdir -p "$TESTBED/data" "$TESTBED/run"
  echo '{}' >"$TESTBED/daemon.json"
  ip link add "$DEFAULT" type bridge || fail "cannot create the bridge $DEFAULT: another testbed may be starting on this machine"
  ip link set "$DEFAULT" alias "$TESTBED"
  ip address add 10.214.78.1/24 dev "$DEFAULT"
  ip link set "$DEFAULT" up
  # The hosts must reach each other even if the machine's firewall filters traffic over bridges.
  iptables -w -I FORWARD -i "$BRIDGE" -o "$BRIDGE" -m comment --comment zun-testbed -j ACCEPT
  setsid dockerd --config-file "$TESTBED/daemon.json" --data-root "$TESTBED/data" --exec-root "$TESTBED/run" \
    --pidfile "$TESTBED/dockerd.pid" -H "unix://$SOCKET" --bridge "$DEFAULT" --iptables=false --ip-masq=false \
    --ip-forward=false --containerd-namespace zun-testbed --containerd-plugins-namespace zun-testbed-plugins \
    --log-level warn </dev/null >"$TESTBED/dockerd.log" 2>&1 9>&- &
  wait_for 60 "the testbed's engine" engine version || { tail -20 "$TESTBED/dockerd.log" >&2; exit 1; }
}

# ours: prints the pids of our processes. Their command line contains our directory.
ours() {
  local line pid arguments
  for line in /proc/[0-9]*/cmdline; do
    pid=${line#/proc/} pid=${pid%/cmdline}
    [ "$pid" != $$ ] || continue
    arguments=$(tr '\0' ' ' 2>/dev/null <"$line" || :)
    case $arguments in *dockerd*"$TESTBED/"* | *containerd*"$TESTBED/"*) echo "$pid" ;; esac
  done
}
gone() { [ -z "$(ours)" ]; }

stop_engine() {
  local mount pid
  if [ -s "$TESTBED/dockerd.pid" ]; then
    pid=$(cat "$TESTBED/dockerd.pid")
    case " $(ours | tr '\n' ' ') " in *" $pid "*) kill "$pid" 2>/dev/null || : ;; esac
    wait_for 20 "the end of the testbed's engine" gone || :
  fi
  for pid in $(ours); do kill -9 "$pid" 2>/dev/null || :; done
  awk -v under="$TESTBED/" 'index($2, under) == 1 {print $2}' /proc/mounts | sort -r | while read -r mount; do
    umount -l "$mount" || :
  done
  rm -rf --one-file-system "$TESTBED"
  # Bridges and rule have fixed names: leave those of another testbed.
  (no_other) 2>/dev/null || return 0
  while iptables -w -D FORWARD -i "$BRIDGE" -o "$BRIDGE" -m comment --comment zun-testbed -j ACCEPT 2>/dev/null; do :; done
  ip link del "$BRIDGE" 2>/dev/null || :
  ip link del "$DEFAULT" 2>/dev/null || :
}
