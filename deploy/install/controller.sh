# Installs and uninstalls the controller (RabbitMQ, zun-api, the CA), and enrols hosts. Sourced by install.sh.
# shellcheck shell=bash
BUS=/etc/zun/bus
BROKER=/etc/rabbitmq/zun
VHOST=zun
# The key and the certificate of zun-api's listener.
API_TLS=/var/lib/zun/tls
SECRETS=/var/lib/zun/secrets.keys

controller() {
  need rabbitmqctl:rabbitmq-server openssl:openssl
  [ ${#NAMES[@]} -gt 0 ] || NAMES=("$(hostname)")
  binary zun-api zun
  prepare zun-api
  local zun_changed=$CHANGED
  CHANGED=
  broker
  CHANGED=$zun_changed
  place /etc/zun/bus-ca.pem 644 root:root <"$(existing "$BUS/ca.pem")"
  bus_user zun-api '.*' '.*' '.*'
  if [ -e /etc/zun/zun-api.toml ] && [ -n "$RENEWED" ]; then
    set_bus_url /etc/zun/zun-api.toml "$(bus_url zun-api "${NAMES[0]}")"
  else
    place_if_missing /etc/zun/zun-api.toml root:root < <(api_settings)
  fi
  [ -z "$DATABASE" ] || [ ! -e /etc/zun/zun-api.toml ] || set_database_url /etc/zun/zun-api.toml "$DATABASE"
  ca
  place /etc/zun/ca.pem 644 root:root <"$(existing /var/lib/zun/ca/ca.pem)"
  api_certificate
  secrets
  administrator
  unit zun-api.service
  start zun-api.service
  report "zun-api is running. Try it as root: . /etc/zun/admin.env && zun list. Next, for each compute host: $0 host NAME"
}

# existing FILE: prints its path, or /dev/null if it does not exist yet, as in a dry run.
existing() { if [ -e "$1" ]; then echo "$1"; else echo /dev/null; fi; }

# RabbitMQ listens with TLS on port 5671. Its certificate comes from a CA that is used for nothing else.
broker() {
  [ -e "$BUS/ca.pem" ] || act "create the CA of the bus in $BUS" bus_ca
  local wanted="${NAMES[*]}"
  if [ "$(cat "$BROKER/names" 2>/dev/null)" != "$wanted" ] \
    || ! openssl x509 -checkend $((60 * 86400)) -noout -in "$BROKER/cert.pem" >/dev/null 2>&1; then
    CHANGED=yes
    act "create the certificate of RabbitMQ for $wanted" broker_certificate
  fi
  place /etc/rabbitmq/conf.d/zun.conf 644 root:root <<CONF
# A TLS listener for Zun's services. The other listeners are unchanged.
listeners.ssl.default = 5671
ssl_options.cacertfile = $BROKER/ca.pem
ssl_options.certfile = $BROKER/cert.pem
ssl_options.keyfile = $BROKER/key.pem
ssl_options.versions.1 = tlsv1.3
ssl_options.versions.2 = tlsv1.2
ssl_options.verify = verify_none
ssl_options.fail_if_no_peer_cert = false
CONF
  start rabbitmq-server.service
  if ! rabbitmqctl -q list_vhosts 2>/dev/null | grep -qx "$VHOST"; then
    act "create the virtual host $VHOST" rabbitmqctl -q add_vhost "$VHOST"
  fi
}

bus_ca() (
  umask 077
  mkdir -p "$BUS/users"
  openssl req -x509 -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 \
    -keyout "$BUS/ca.key" -out "$BUS/ca.pem" -config <(cat <<CONF
[req]
distinguished_name = name
x509_extensions = ca
prompt = no
[name]
CN = Zun bus
[ca]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
CONF
  ) 2>/dev/null
)

broker_certificate() (
  umask 077
  local name names=
  mkdir -p "$BROKER"
  for name in "${NAMES[@]}" localhost 127.0.0.1; do
    if [[ $name =~ ^[0-9.]+$ || $name == *:* ]]; then names+=",IP:$name"; else names+=",DNS:$name"; fi
  done
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=${NAMES[0]}" \
    -keyout "$BROKER/key.pem" -out "$BROKER/request.pem" 2>/dev/null
  openssl x509 -req -in "$BROKER/request.pem" -CA "$BUS/ca.pem" -CAkey "$BUS/ca.key" -CAcreateserial -days 825 \
    -out "$BROKER/cert.pem" -extfile <(cat <<CONF
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = ${names#,}
CONF
  ) 2>/dev/null
  rm "$BROKER/request.pem"
  cp "$BUS/ca.pem" "$BROKER/ca.pem"
  chmod 750 "$BROKER"
  chmod 640 "$BROKER"/*.pem
  chown -R root:rabbitmq "$BROKER"
  echo "${NAMES[*]}" >"$BROKER/names"
)

# bus_user NAME CONFIGURE WRITE READ: creates the user with the password in $BUS/users/NAME. It creates a password if
# there is none or with --new-password, and then sets RENEWED.
bus_user() {
  local name=$1 file=$BUS/users/$1
  if [ ! -s "$file" ] || [ -n "$NEW_PASSWORD" ]; then
    act "create a password for the RabbitMQ user $name" new_password "$file"
    RENEWED=yes
  fi
  if ! rabbitmqctl -q list_users 2>/dev/null | cut -f1 | grep -qxF "$name"; then
    act "create the RabbitMQ user $name" add_user "$name"
  elif [ -n "$RENEWED" ]; then
    act "change the password of the RabbitMQ user $name and close its connections" change_password "$name"
  fi
  if ! rabbitmqctl -q list_user_permissions "$name" 2>/dev/null | grep -qxF "$(printf '%s\t' "$VHOST" "$2" "$3")$4"; then
    act "set the permissions of the RabbitMQ user $name" rabbitmqctl -q set_permissions -p "$VHOST" "$@"
  fi
}

new_password() (
  umask 077
  mkdir -p "$BUS/users"
  random >"$1"
)

# Passwords are passed on stdin: every user can read the arguments of a process.
add_user() { rabbitmqctl -q add_user "$1" <"$BUS/users/$1" >/dev/null; }
change_password() {
  rabbitmqctl -q change_password "$1" <"$BUS/users/$1" >/dev/null
  rabbitmqctl -q close_all_user_connections "$1" 'the password was changed' >/dev/null
}

bus_url() { echo "amqps://$1:$(cat "$(existing "$BUS/users/$1")")@$2:5671/$VHOST"; }

# is_loopback ADDRESS:PORT
is_loopback() { [[ $1 == 127.* || $1 == '[::1]':* ]]; }

api_settings() {
  cat <<TOML
# All settings: /usr/local/share/zun/config/zun-api.toml
[http]
listen = "$LISTEN"
$(is_loopback "$LISTEN" || printf 'certificate = "%s"\nkey = "%s"\n' "$API_TLS/cert.pem" "$API_TLS/key.pem")

[auth]
token_file = "/etc/zun/tokens.toml"

[bus]
url = "$(bus_url zun-api "${NAMES[0]}")"
ca_file = "/etc/zun/bus-ca.pem"

[console]
ca_directory = "/var/lib/zun/ca"

[secrets]
key_file = "$SECRETS"
TOML
}

# The key that encrypts passwords of registries in the database. Settings of an earlier version do not name it.
secrets() {
  if [ ! -e "$SECRETS" ]; then
    act "create a key for secrets in $SECRETS" runuser -u zun-api -- /usr/local/bin/zun-api secrets init --file "$SECRETS"
  fi
  if [ -e /etc/zun/zun-api.toml ] && ! grep -q '^\[secrets\]' /etc/zun/zun-api.toml; then
    act "set secrets.key_file in /etc/zun/zun-api.toml" name_secrets
  fi
}

name_secrets() {
  printf '\n[secrets]\nkey_file = "%s"\n' "$SECRETS" >>/etc/zun/zun-api.toml
  CHANGED=yes
}

ca() {
  [ ! -e /var/lib/zun/ca/ca.pem ] || return 0
  act 'create the CA in /var/lib/zun/ca' new_ca
}

new_ca() {
  install -d -m 700 -o zun-api -g zun-api /var/lib/zun
  as_ca_owner ca init
}

# Renews the certificate of zun-api if its names have changed, if it expires within 60 days, or if the CA was rotated. Does
# nothing if the settings name another certificate or none. A running zun-api reads the new one.
api_certificate() {
  local names=("${NAMES[@]}" localhost 127.0.0.1)
  if [ -e /etc/zun/zun-api.toml ]; then
    grep -q "^certificate = \"$API_TLS/cert.pem\"" /etc/zun/zun-api.toml || return 0
  elif is_loopback "$LISTEN"; then
    return 0
  fi
  if [ "$(cat "$API_TLS/names" 2>/dev/null)" = "${names[*]}" ] \
    && openssl x509 -checkend $((60 * 86400)) -noout -in "$API_TLS/cert.pem" >/dev/null 2>&1 \
    && openssl verify -CAfile /var/lib/zun/ca/ca.pem "$API_TLS/cert.pem" >/dev/null 2>&1; then
    return 0
  fi
  act "create the certificate of zun-api for ${names[*]}" new_api_certificate "${names[@]}"
}

new_api_certificate() {
  local name options=()
  for name in "$@"; do options+=(--name "$name"); done
  as_ca_owner ca api-certificate "${options[@]}" --output "$API_TLS"
  echo "$*" >"$API_TLS/names"
}

administrator() {
  [ ! -e /etc/zun/tokens.toml ] || return 0
  act "create an administrator's token in /etc/zun/admin.env" new_administrator
}

new_administrator() (
  umask 077
  local token endpoint=https://${NAMES[0]}:${LISTEN##*:}/v1
  token=$(random)
  ! is_loopback "$LISTEN" || endpoint=http://$LISTEN/v1
  cat >/etc/zun/admin.env <<ENV
# Source this file to call zun-api as administrator.
export OS_AUTH_TYPE=admin_token
export OS_ENDPOINT=$endpoint
export OS_TOKEN=$token
ENV
  is_loopback "$LISTEN" || echo 'export OS_CACERT=/etc/zun/ca.pem' >>/etc/zun/admin.env
  cat >/etc/zun/tokens.toml <<TOML
[[token]]
sha256 = "$(printf %s "$token" | sha256sum | cut -d' ' -f1)"
user = "admin"
project = "admin"
roles = ["admin"]
TOML
  chown zun-api:zun-api /etc/zun/tokens.toml
)

# Enrols a host: records the names of its certificate, creates its RabbitMQ user, and writes its enrolment file.
host() {
  host_name "$HOST"
  [ -e "$BROKER/names" ] || fail "this machine is not a controller: run $0 controller first"
  local rules file=/etc/zun/enrolments/$HOST.tar user=zun-compute.$HOST
  enrol "${NAMES[@]}"
  mapfile -t rules < <(permissions "$HOST")
  bus_user "$user" "${rules[@]}"
  if [ -e "$file" ] && [ -z "$RENEWED" ]; then say "keep $file as it is"; else act "write $file" enrolment "$file"; fi
  report "next: copy $file to $HOST over a private channel, run \`install.sh compute --enrolment $HOST.tar …\` there, \
and delete both copies"
}

# enrol NAME…: enrols the host for a certificate. A later call with names replaces them.
enrol() {
  local name names=()
  if [ $# = 0 ] && [ -e "/var/lib/zun/ca/hosts/$HOST" ]; then
    say "keep the names of $HOST as they are"
    return
  fi
  for name in "$@"; do names+=(--name "$name"); done
  act "enrol $HOST for a certificate: $HOST $*" as_ca_owner host enrol "$HOST" "${names[@]}"
}

# as_ca_owner COMMAND…: runs zun-api as the owner of the CA.
as_ca_owner() { runuser -u zun-api -- /usr/local/bin/zun-api "$@" --directory /var/lib/zun/ca; }

enrolment() (
  umask 077
  local work controller
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  read -r controller _ <"$BROKER/names"
  mkdir -p "${1%/*}"
  echo "$HOST" >"$work/host"
  bus_url "zun-compute.$HOST" "$controller" >"$work/bus-url"
  cp "$BUS/ca.pem" "$work/bus-ca.pem"
  tar -C "$work" -cf "$1" host bus-url bus-ca.pem
)

host_off() {
  host_name "$HOST"
  if rabbitmqctl -q list_users 2>/dev/null | cut -f1 | grep -qxF "zun-compute.$HOST"; then
    act "remove the RabbitMQ user zun-compute.$HOST" rabbitmqctl -q delete_user "zun-compute.$HOST"
  fi
  if [ -e "/var/lib/zun/ca/hosts/$HOST" ]; then
    act "stop signing certificates for $HOST" as_ca_owner host remove "$HOST"
  fi
  remove "/etc/zun/enrolments/$HOST.tar" "$BUS/users/zun-compute.$HOST"
}

controller_off() {
  uninstall_part zun-api zun-api.service
  remove /usr/local/bin/zun-api
  if [ -e /etc/rabbitmq/conf.d/zun.conf ]; then
    remove /etc/rabbitmq/conf.d/zun.conf
    act 'restart RabbitMQ without the TLS listener' systemctl restart rabbitmq-server.service
  fi
  if [ -n "$PURGE" ]; then
    controller_purge
  else
    say "kept: /etc/zun, /var/lib/zun, the virtual host $VHOST and the RabbitMQ users (--purge removes them)"
  fi
  say "kept: /usr/local/bin/zun (install.sh client --uninstall removes it)"
  uninstall_shared zun-api
}

controller_purge() {
  local user
  for user in $(rabbitmqctl -q list_users 2>/dev/null | cut -f1 | grep -E '^zun-(api$|compute\.)'); do
    act "remove the RabbitMQ user $user" rabbitmqctl -q delete_user "$user"
  done
  if rabbitmqctl -q list_vhosts 2>/dev/null | grep -qx "$VHOST"; then
    act "remove the virtual host $VHOST" rabbitmqctl -q delete_vhost "$VHOST"
  fi
  act "remove $BUS, $BROKER, /var/lib/zun, the enrolments, the tokens and the settings" rm -rf "$BUS" "$BROKER" \
    /var/lib/zun /etc/zun/ca.pem /etc/zun/enrolments /etc/zun/tokens.toml /etc/zun/admin.env /etc/zun/zun-api.toml
}
