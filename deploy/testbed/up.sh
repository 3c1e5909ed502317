#!/bin/bash
# Starts a testbed on this machine: a controller and two compute hosts (Debian 12 and 13). Each is a container with systemd
# as PID 1, its own address and its own dockerd, installed as docs/install.md says. The testbed has its own engine and does
# not touch the machine's Docker. `down.sh` removes all of it.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need_root "$@"

# Prints the capabilities of a host. --privileged would request all of them, and fails if this machine lacks one. The
# clock and the kernel modules belong to the whole machine, so no host gets those.
capabilities() {
  local names=(CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE
    NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE
    SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL
    SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ)
  local bounding number
  bounding=$((16#$(awk '/^CapBnd/ {print $2}' /proc/self/status)))
  echo --cap-drop=ALL
  for number in "${!names[@]}"; do
    case ${names[number]} in SYS_TIME | SYS_MODULE) continue ;; esac
    ((bounding >> number & 1)) && echo "--cap-add=${names[number]}"
  done
}

start_host() {
  local name=$1 image=$2 host others=()
  [ "$(engine inspect -f '{{.State.Running}}' "$name" 2>/dev/null || :)" != true ] || return 0
  engine rm -fv "$name" >/dev/null 2>&1 || :
  for host in "${HOSTS[@]}"; do others+=(--add-host "${host%%:*}:$(address "${host%%:*}")"); done
  # shellcheck disable=SC2046
  engine run -d --name "$name" --hostname "$name" --network "$NETWORK" --ip "$(address "$name")" "${others[@]}" \
    $(capabilities) --security-opt seccomp=unconfined --security-opt apparmor=unconfined \
    --security-opt systempaths=unconfined --device-cgroup-rule 'a *:* rwm' --cgroupns=private \
    --stop-signal SIGRTMIN+3 --tmpfs /run:exec --tmpfs /run/lock --tmpfs /tmp:exec --memory 3g "$image" >/dev/null
}

booted() {
  case $(on "$1" systemctl is-system-running 2>/dev/null </dev/null) in running | degraded) ;; *) return 1 ;; esac
}

# copy_package HOST: unpacks the package on the host, as install.md says.
copy_package() { on "$1" tar -C /root -xzf - <"$TARGET/zun.tar.gz"; }

# image_on HOST: gives the host's Docker an image, without a registry.
image_on() {
  tar -C "$ROOT" -c deploy/lib.sh deploy/image.sh | on "$1" tar -C /tmp -xf -
  on "$1" bash -c 'docker image inspect cirros:latest >/dev/null 2>&1 || /tmp/deploy/image.sh /var/run/docker.sock' </dev/null
}

no_other
"$ROOT/deploy/packages.sh" test
"$ROOT/deploy/package.sh"
start_engine
engine network inspect "$NETWORK" >/dev/null 2>&1 || engine network create --subnet "$SUBNET.0/24" \
  -o "com.docker.network.bridge.name=$BRIDGE" "$NETWORK" >/dev/null
"$(dirname "$0")/images.sh"
for host in "${HOSTS[@]}"; do IFS=: read -r name image _ <<<"$host" && start_host "$name" "$image"; done
for host in "${HOSTS[@]}"; do
  name=${host%%:*}
  wait_for 90 "$name" booted "$name"
  copy_package "$name"
done

# The rest follows docs/install.md.
on controller /root/zun/install.sh controller --name controller --name "$(address controller)"
for name in compute1 compute2; do
  on controller /root/zun/install.sh host "$name" --name "$(address "$name")"
  on controller cat "/etc/zun/enrolments/$name.tar" </dev/null | on "$name" sh -c "umask 077; cat >/root/$name.tar"
  on "$name" /root/zun/install.sh compute --enrolment "/root/$name.tar" --address "$(address "$name"):2376" --name "$name"
  image_on "$name"
done
env=$TARGET/testbed.env
umask 077
on controller cat /etc/zun/ca.pem </dev/null >"$TARGET/testbed-ca.pem"
{ on controller cat /etc/zun/admin.env </dev/null \
    | sed "s#//controller:#//$(address controller):#; s#/etc/zun/ca.pem#$TARGET/testbed-ca.pem#"
  echo "export PATH=${ZUN_BIN:-$TARGET/release}:\$PATH"
} >"$env"
say "ready after $SECONDS s; next: . $env && zun run -i --host compute2 --name test cirros /bin/sh"
