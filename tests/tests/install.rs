//! Tests of what `install.sh` installs: the sample settings, the notifications to systemd, the RabbitMQ users, and TLS.

mod install {
    mod broker;
    mod manager;
    mod samples;
    mod tls;
}
