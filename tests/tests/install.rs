//! Tests of what `install.sh` installs: the sample settings, the notifications to systemd, and the RabbitMQ users.

mod install {
    mod broker;
    mod manager;
    mod samples;
}
