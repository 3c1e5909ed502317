#!/bin/bash
# Installs Zun on this machine (Debian 12 or 13 with systemd). It can be run again: it changes only what differs.
#
#   install.sh controller [--name NAME]… [--listen ADDRESS:PORT] [--database URL]
#       Installs RabbitMQ and zun-api with TLS, and creates the CA and an administrator's token. NAME: a DNS name or
#       IP address of this machine for the certificates; hosts and administrators connect to the first one (default: the
#       output of `hostname`). ADDRESS:PORT: where zun-api listens (default: 0.0.0.0:9517). On a loopback address it speaks
#       plain HTTP, for a TLS proxy. URL: sqlite:///PATH or postgres://…
#       (default: sqlite:///var/lib/zun/zun.sqlite); - reads it from stdin, where other users cannot see its password.
#   install.sh host NAME [--name NAME]… [--new-password]
#       Run on the controller: enrols the compute host NAME and writes /etc/zun/enrolments/NAME.tar, a secret for
#       that host only. --name: another DNS name or IP address for its certificate; give each one that clients connect to.
#   install.sh compute --enrolment FILE --address NAME:PORT [--gate NAME:PORT] [--name NAME]…
#       Run on the compute host: installs Docker, zun-compute, zun-authz, zun-runtime and zun-console. --address: where
#       clients connect to its Docker. --gate: where they connect to its console gate (default: the same name, port 2377).
#       --name: another DNS name or IP address for its certificate. On a host that is already installed, --enrolment only
#       updates the URL, password and CA of RabbitMQ.
#   install.sh client
#       Installs the command zun, its man pages, and its completion for bash, zsh and fish.
#   install.sh permissions NAME
#       Prints the RabbitMQ permissions of the host's user: configure, write and read, one per line.
#
#   --new-password  with controller or host: change the password of its RabbitMQ user and close that user's connections
#   --dry-run       print the changes without making them
#   --uninstall     remove controller, compute or client from this machine, or host NAME from the controller; keep
#                   settings, keys and the database
#   --purge         with --uninstall: remove settings, keys and the database too
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PATH=$PATH:/usr/sbin:/sbin
BIN=${ZUN_BIN:-$HERE/bin}
[ -d "$BIN" ] || BIN=$HERE/../target/release

say() { printf 'zun: %s\n' "$*" >&2; }
# report MESSAGE: prints a result; prints nothing in a dry run.
report() { [ -n "$DRY" ] || say "$@"; }
fail() { say "$*"; exit 1; }
usage() { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//p}' "$0" >&2; exit 2; }

# act MESSAGE COMMAND…: prints the message, and runs the command unless this is a dry run.
act() {
  say "${DRY:+would }$1"
  [ -n "$DRY" ] || "${@:2}" </dev/null
}

# place FILE MODE OWNER: writes stdin to the file if content, mode or owner differ, and then sets CHANGED.
place() {
  local file=$1 mode=$2 owner=$3 new
  new=$(mktemp)
  cat >"$new"
  if cmp -s "$new" "$file" && [ "$(stat -c '%a %U:%G' "$file")" = "$mode $owner" ]; then
    rm "$new"
    return
  fi
  CHANGED=yes
  act "write $file" install -D -m "$mode" -o "${owner%:*}" -g "${owner#*:}" "$new" "$file"
  rm "$new"
}

# place_if_missing FILE OWNER: like place, but never overwrites: the operator may have changed the file.
place_if_missing() {
  if [ -e "$1" ]; then
    cat >/dev/null
    say "keep $1 as it is"
  else
    place "$1" 600 "$2"
  fi
}

# set_bus_url FILE URL: replaces the URL in existing settings. It does not pass the URL to a program as an argument:
# every user can read the arguments of a process.
set_bus_url() {
  local line section='' found='' text=''
  while IFS= read -r line || [ -n "$line" ]; do
    [[ $line != \[* ]] || section=$line
    if [[ $section == '[bus]'* && $line =~ ^url[[:space:]]*= ]]; then
      line="url = \"$2\""
      found=yes
    fi
    text+=$line$'\n'
  done <"$1"
  [ -n "$found" ] || fail "cannot set the bus URL: $1 has no \`url\` in [bus]; add it by hand and run the same command again"
  place "$1" 600 root:root < <(printf %s "$text")
}

# set_database_url FILE URL: sets the URL in existing settings, in place of `url` or `path`.
set_database_url() {
  local line section='' done='' text=''
  while IFS= read -r line || [ -n "$line" ]; do
    [[ $line != \[* ]] || section=$line
    if [[ $section == '[database]'* && $line =~ ^(url|path)[[:space:]]*= ]]; then continue; fi
    text+=$line$'\n'
    if [[ $line == '[database]'* ]]; then
      text+="url = \"$2\""$'\n'
      done=yes
    fi
  done <"$1"
  [ -n "$done" ] || text+=$'\n[database]\n'"url = \"$2\""$'\n'
  place "$1" 600 root:root < <(printf %s "$text")
}

# database_url URL: prints the URL, or what stdin holds if it is -. Fails unless it names a database. No error repeats it:
# it may contain a password.
database_url() {
  local url=$1
  if [ "$url" = - ]; then read -r url || [ -n "$url" ] || fail 'option --database -: stdin is empty'; fi
  [[ $url =~ ^(sqlite:///|postgres://|postgresql://)[^\"\\[:space:][:cntrl:]]+$ ]] \
    || fail 'invalid URL for --database: use sqlite:///PATH or postgres://…, without spaces, quotes and backslashes'
  printf '%s\n' "$url"
}

binary() {
  local name
  for name in "$@"; do
    [ -x "$BIN/$name" ] || fail "$BIN/$name is missing: build it, or set ZUN_BIN to the directory of the programs"
    place "/usr/local/bin/$name" 755 root:root <"$BIN/$name"
  done
}

unit() {
  local name
  for name in "$@"; do place "/etc/systemd/system/$name" 644 root:root <"$HERE/systemd/$name"; done
}

# prepare PART: creates the service's user and directories, and installs the sample settings and the manual.
prepare() {
  local part=$1
  place "/etc/sysusers.d/$part.conf" 644 root:root <"$HERE/systemd/sysusers.d/$part.conf"
  place "/etc/tmpfiles.d/$part.conf" 644 root:root <"$HERE/systemd/tmpfiles.d/$part.conf"
  place "/usr/local/share/zun/config/$part.toml" 644 root:root <"$HERE/config/$part.toml"
  install_manual
  getent passwd "$part" >/dev/null || act "create the user $part" systemd-sysusers "/etc/sysusers.d/$part.conf"
  [ -n "$DRY" ] || systemd-tmpfiles --create "/etc/tmpfiles.d/$part.conf"
}

install_manual() {
  local page=$HERE/install.md
  [ -e "$page" ] || page=$HERE/../docs/install.md
  place /usr/local/share/doc/zun/install.md 644 root:root <"$page"
}

# start UNIT…: enables all, and starts the last one, which is the service. It is ready when this returns.
start() {
  local service=${*: -1}
  [ -z "$CHANGED" ] || act 'reload systemd' systemctl daemon-reload
  systemctl is-enabled -q "$@" 2>/dev/null || act "enable $*" systemctl enable -q "$@"
  if [ -n "$CHANGED" ] || ! systemctl is-active -q "$service"; then
    act "start $service" systemctl restart "$service" || fail "$service did not start: see journalctl -u $service"
  fi
}

# need COMMAND:PACKAGE…: installs the packages whose commands are missing.
need() {
  local pair packages=()
  for pair in "$@"; do command -v "${pair%%:*}" >/dev/null || packages+=("${pair#*:}"); done
  [ ${#packages[@]} -gt 0 ] || return 0
  command -v apt-get >/dev/null || fail "cannot install the packages ${packages[*]}: there is no apt-get on this machine; install them by hand"
  act "install the Debian packages ${packages[*]}" install_packages "${packages[@]}"
}

install_packages() {
  apt-get update -q >&2
  DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "$@" >&2
}

random() { head -c 24 /dev/urandom | base64 | tr '+/' '-_'; }

# host_name NAME: fails unless it is a valid host name, by the same rules as in zun-common.
host_name() {
  local label='[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?'
  if ! [[ $1 =~ ^$label(\.$label)*$ ]] || [ ${#1} -gt 253 ]; then
    fail "invalid host name \`$1\`: use lower-case DNS labels joined by dots"
  fi
}

permissions() {
  host_name "$1"
  local own="zun-compute\\.${1//./\\.}\\.ask"
  echo "^$own\$"
  # Calls and replies go through the default exchange.
  echo "^($own|amq\\.default)\$"
  echo "^$own\$"
}

# remove FILE…: removes the files. It removes a directory only if it is empty.
remove() {
  local file
  for file in "$@"; do
    if [ -d "$file" ] && [ ! -L "$file" ]; then
      [ -n "$DRY" ] || rmdir "$file" 2>/dev/null || :
    elif [ -e "$file" ] || [ -L "$file" ]; then
      act "remove $file" rm -f "$file"
    fi
  done
}

# uninstall_part PART UNIT…: stops and removes the units of a part, and what prepare created.
uninstall_part() {
  local part=$1 name
  for name in "${@:2}"; do
    if [ -e "/etc/systemd/system/$name" ]; then
      act "stop $name" systemctl disable -q --now "$name" || :
      remove "/etc/systemd/system/$name"
    fi
  done
  remove "/etc/sysusers.d/$part.conf" "/etc/tmpfiles.d/$part.conf" "/usr/local/share/zun/config/$part.toml"
  [ -n "$DRY" ] || systemctl daemon-reload
  if [ -n "$PURGE" ] && getent passwd "$part" >/dev/null; then act "remove the user $part" userdel "$part"; fi
}

# uninstall_shared PROGRAM: removes the files that several parts share, unless another part is still installed. PROGRAM
# belongs to the part that is being removed.
uninstall_shared() {
  local program
  for program in zun-api zun-compute; do
    [ "$program" = "$1" ] || [ ! -e "/usr/local/bin/$program" ] || return 0
  done
  remove /usr/local/share/doc/zun/install.md /usr/local/share/doc/zun /usr/local/share/zun/config /usr/local/share/zun
  [ -z "$PURGE" ] || remove /etc/zun/bus-ca.pem /etc/zun/enrolments /etc/zun
}

# completion_file SHELL: prints where the shell looks for the completion of zun.
completion_file() {
  case $1 in
    bash) echo /usr/local/share/bash-completion/completions/zun ;;
    zsh) echo /usr/local/share/zsh/site-functions/_zun ;;
    fish) echo /usr/local/share/fish/vendor_completions.d/zun.fish ;;
  esac
}

client() {
  local shell pages page
  binary zun
  pages=$(mktemp -d)
  "$BIN/zun" __man "$pages"
  for page in "$pages"/*.1; do place "/usr/local/share/man/man1/${page##*/}" 644 root:root <"$page"; done
  rm -r "$pages"
  for shell in bash zsh fish; do
    place "$(completion_file "$shell")" 644 root:root < <("$BIN/zun" completion "$shell")
  done
  install_manual
  report "installed the command zun: set OS_ENDPOINT and OS_TOKEN, then see zun --help"
}

client_off() {
  remove /usr/local/share/man/man1/zun.1 /usr/local/share/man/man1/zun-*.1
  remove /usr/local/bin/zun "$(completion_file bash)" "$(completion_file zsh)" "$(completion_file fish)"
  uninstall_shared zun
}

# --- the command line ----------------------------------------------------------------------------
PART=${1:-} DRY='' OFF='' PURGE='' CHANGED='' NEW_PASSWORD='' RENEWED='' NAMES=() LISTEN=0.0.0.0:9517 DATABASE='' ENROLMENT='' ADDRESS='' GATE='' HOST=''
[ $# -gt 0 ] && shift
case $PART in host | permissions) HOST=${1:-}; [ $# -gt 0 ] && shift ;; esac
while [ $# -gt 0 ]; do
  case $1 in
    --dry-run) DRY=yes ;;
    --uninstall) OFF=yes ;;
    --purge) PURGE=yes ;;
    --new-password) NEW_PASSWORD=yes ;;
    --name | --listen | --database | --enrolment | --address | --gate)
      [ $# -gt 1 ] || fail "option $1 needs a value"
      case $1 in
        --name) NAMES+=("$2") ;;
        --listen) LISTEN=$2 ;;
        --database) DATABASE=$(database_url "$2") ;;
        --enrolment) ENROLMENT=$2 ;;
        --address) ADDRESS=$2 ;;
        --gate) GATE=$2 ;;
      esac
      shift ;;
    *) fail "unknown argument \`$1\`: run $0 without arguments for help" ;;
  esac
  shift
done
# shellcheck source=deploy/install/controller.sh
. "$HERE/install/controller.sh"
# shellcheck source=deploy/install/compute.sh
. "$HERE/install/compute.sh"

case $PART in
  controller | compute | client | host) ;;
  permissions) permissions "$HOST"; exit ;;
  *) usage ;;
esac
[ "$(id -u)" = 0 ] || fail "this needs root: run it as root or with sudo"
[ -d /run/systemd/system ] || fail "systemd does not run on this machine; the services need it"
[ -z "$PURGE" ] || [ -n "$OFF" ] || fail "--purge can only be used with --uninstall"
[ -z "$DATABASE" ] || [ "$PART" = controller ] || fail "--database can only be used with controller"
case $PART in
  controller | host) ;;
  *) [ -z "$NEW_PASSWORD" ] || fail "--new-password can only be used with controller or host" ;;
esac
umask 022
case $PART in
  host) [ -z "$OFF" ] || PART=host_off ;;
  *) [ -z "$OFF" ] || PART=${PART}_off ;;
esac
"$PART"
