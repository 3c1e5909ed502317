# Installs and uninstalls a compute host: Docker, zun-compute, zun-authz, zun-runtime, zun-console. Sourced by install.sh.
# shellcheck shell=bash

DROP_IN=/etc/systemd/system/docker.service.d/zun.conf
SETUP=/var/lib/zun-docker-setup

compute() {
  need dockerd:docker.io
  binary zun-compute zun-authz zun-runtime zun-console
  prepare zun-compute
  enrol_this_host
  local others=$CHANGED plugin
  CHANGED=
  unit zun-authz.socket zun-authz.service zun-authz.service.d/agent.conf
  plugin=$CHANGED
  unit zun-docker-setup.service zun-compute.service
  [ -z "$others" ] || CHANGED=yes
  [ -z "$CHANGED" ] || act 'reload systemd' systemctl daemon-reload
  if [ -e "$SETUP/undone" ]; then
    say "Docker's listener stays closed because someone ran \`docker-setup --undo\`: to open it, run \`zun-compute --config /etc/zun/zun-compute.toml docker-setup\`"
  else
    act "set up Docker's listener" /usr/local/bin/zun-compute --config /etc/zun/zun-compute.toml docker-setup \
      || fail "Docker's listener was not set up: fix the error above and run the same command again"
  fi
  renew_plugin "$plugin"
  start zun-compute.service
  report "the agent of this host is running"
  console_gate
}

# Installs the console gate if the agent's settings have its address.
console_gate() {
  local host port
  place /usr/local/share/zun/config/zun-console.toml 644 root:root <"$HERE/config/zun-console.toml"
  [ -n "$GATE" ] || GATE=$(setting gate)
  if [ -z "$GATE" ]; then
    say "the console gate is not set up: add \`gate = \"NAME:2377\"\` to [console] in /etc/zun/zun-compute.toml, with the name where clients connect to this host, and run the same command again"
    return
  fi
  host=$(setting host)
  port=${GATE##*:}
  CHANGED=
  place_if_missing /etc/zun/zun-console.toml root:root <<TOML
# All settings: /usr/local/share/zun/config/zun-console.toml
host = "${host:-$(from_enrolment host)}"
listen = "0.0.0.0:$port"
notify_socket = "/run/zun-compute/notify.sock"
control_socket = "/run/zun-console/control.sock"
TOML
  unit zun-console.service
  is_current zun-console || CHANGED=yes
  start zun-console.service
  report "the console gate of this host is running"
}

# setting KEY: prints a text of the agent's settings, or nothing.
setting() { sed -n "s/^$1 *= *\"\(.*\)\"\$/\1/p" /etc/zun/zun-compute.toml 2>/dev/null | head -n 1; }

# is_current PROGRAM: succeeds unless its service runs an older program.
is_current() {
  local pid
  pid=$(systemctl show -P MainPID "$1.service" 2>/dev/null || echo 0)
  ! [ "$pid" -gt 0 ] 2>/dev/null || [ "/proc/$pid/exe" -ef "/usr/local/bin/$1" ]
}

# renew_plugin CHANGED: restarts the plugin if its unit changed or an older program runs. The socket stays, so Docker's
# requests wait during the restart.
renew_plugin() {
  local pid
  pid=$(systemctl show -P MainPID zun-authz.service 2>/dev/null || echo 0)
  [ "$pid" -gt 0 ] 2>/dev/null || return 0
  [ -n "$1" ] || ! [ "/proc/$pid/exe" -ef /usr/local/bin/zun-authz ] || return 0
  act 'restart zun-authz.service; open consoles are not interrupted' systemctl try-restart zun-authz.service \
    || fail "zun-authz did not start, and Docker refuses every request without it: see journalctl -u zun-authz"
  [ -n "$DRY" ] || timeout 20 /usr/local/bin/zun-authz --stats >/dev/null \
    || fail "zun-authz does not answer, and Docker refuses every request without it: see journalctl -u zun-authz"
}

# Writes the settings from the enrolment of the controller. If there are settings already, a new enrolment only changes
# the URL and the CA of the bus.
enrol_this_host() {
  local file=/etc/zun/zun-compute.toml host url ca version
  if [ -e "$file" ] && [ -z "$ENROLMENT" ]; then
    say "keep $file as it is"
    return
  fi
  [ -f "$ENROLMENT" ] || fail "--enrolment needs a file: write it on the controller with \`install.sh host NAME\`, and copy it here"
  # One assignment a line: set -e does not see a failure inside a longer command.
  host=$(from_enrolment host)
  url=$(from_enrolment bus-url)
  ca=$(from_enrolment bus-ca.pem)
  host_name "$host"
  [[ $url =~ ^amqps://[^[:space:]\"]+$ && $ca == *'END CERTIFICATE'* ]] || fail "$ENROLMENT is not an enrolment: write it again with \`install.sh host NAME\` on the controller"
  if [ -e "$file" ]; then
    grep -qx "host = \"$host\"" "$file" || fail "$ENROLMENT is for $host, but $file is for another host"
    place /etc/zun/bus-ca.pem 644 root:root <<<"$ca"
    set_bus_url "$file" "$url"
    return
  fi
  [[ $ADDRESS =~ ^[^:/]+:[0-9]+$|^\[[0-9a-f:]+\]:[0-9]+$ ]] \
    || fail "invalid --address \`$ADDRESS\`: give the name and port where clients connect to this host's consoles, such as compute1.example.org:2376"
  GATE=${GATE:-${ADDRESS%:*}:2377}
  [[ $GATE =~ ^[^:/]+:[0-9]+$|^\[[0-9a-f:]+\]:[0-9]+$ && $GATE != "$ADDRESS" ]] \
    || fail "invalid --gate \`$GATE\`: give the name and port where clients connect to this host's console gate, such as compute1.example.org:2377. The port must not be Docker's"
  version=$(engine_version)
  place /etc/zun/bus-ca.pem 644 root:root <<<"$ca"
  place_if_missing "$file" root:root < <(compute_settings "$host" "$url" "$version")
  report "$ENROLMENT is no longer needed: delete it here and on the controller"
}

from_enrolment() { tar -xOf "$ENROLMENT" "$1" || fail "$ENROLMENT is not an enrolment: it has no \`$1\`"; }

# compute_settings HOST URL VERSION
compute_settings() {
  local names
  names=$(printf ', "%s"' "${NAMES[@]}")
  [ ${#NAMES[@]} -gt 0 ] || names=
  cat <<TOML
# All settings: /usr/local/share/zun/config/zun-compute.toml
host = "$1"

[bus]
url = "$2"
ca_file = "/etc/zun/bus-ca.pem"

[console]
address = "$ADDRESS"
api_version = "$3"
gate = "$GATE"
gate_control = "/run/zun-console/control.sock"
notify_socket = "/run/zun-compute/notify.sock"
certificates = "/etc/zun/pki"
names = [${names#, }]
TOML
}

# Prints the newest version of the Docker API that the engine speaks.
engine_version() {
  docker version --format '{{.Server.APIVersion}}' 2>/dev/null || { [ -n "$DRY" ] && echo 1.41; } \
    || fail "Docker does not answer: see systemctl status docker"
}

# has_sized_containers: succeeds if a container uses zun-runtime, or if Docker cannot say. Such a container needs the
# program until it is removed.
has_sized_containers() {
  local containers runtimes
  command -v docker >/dev/null || return 1
  containers=$(docker ps -aq --no-trunc 2>/dev/null) || return 0
  [ -n "$containers" ] || return 1
  # shellcheck disable=SC2086
  runtimes=$(docker inspect -f '{{.HostConfig.Runtime}}' $containers 2>/dev/null) || :
  grep -qx zun-sized <<<"$runtimes"
}

# Closes Docker's listener. The drop-in makes Docker require zun-authz.socket, so it must go first: Docker would not
# start without the socket.
listener_off() {
  local program=/usr/local/bin/zun-compute
  [ -x "$program" ] || program=$BIN/zun-compute
  if [ -e "$SETUP/former.json" ]; then
    [ -x "$program" ] || fail "cannot restore Docker's settings: $program is missing; install it again first"
    act "restore Docker's former settings" "$program" --config /etc/zun/zun-compute.toml docker-setup --undo \
      || fail "Docker's settings were not restored, so nothing was removed: fix the error above and run the same command again"
  fi
  if [ -e "$DROP_IN" ] && [ -z "$DRY" ]; then
    fail "cannot restore Docker's settings: $DROP_IN exists, but the record of the former settings $SETUP/former.json does not. \
Remove the drop-in, correct Docker's settings by hand, restart Docker, and run the same command again"
  fi
  # A later installation opens the listener again.
  remove "$SETUP/undone" "$SETUP"
}

compute_off() {
  # The agent goes first: it would request a new certificate.
  [ ! -e /etc/systemd/system/zun-compute.service ] || act 'stop zun-compute.service' systemctl stop zun-compute.service
  listener_off
  remove /etc/systemd/system/zun-authz.service.d/agent.conf /etc/systemd/system/zun-authz.service.d
  uninstall_part zun-compute zun-console.service zun-compute.service zun-docker-setup.service zun-authz.service zun-authz.socket
  remove /usr/local/bin/zun-compute /usr/local/bin/zun-authz /usr/local/bin/zun-console /usr/local/share/zun/config/zun-console.toml
  if has_sized_containers; then
    say "kept: /usr/local/bin/zun-runtime, because containers use it: remove them and run the same command again"
  else
    remove /usr/local/bin/zun-runtime
  fi
  if [ -n "$PURGE" ]; then
    act 'remove the settings, the certificate and the state in /var/lib/zun-compute and /var/lib/zun-console' \
      rm -rf /etc/zun/pki /etc/zun/zun-compute.toml /etc/zun/zun-console.toml /var/lib/zun-compute /var/lib/zun-console
  else
    say "kept: /etc/zun (--purge removes it)"
  fi
  uninstall_shared zun-compute
}
