//! What an operator installs: the samples of the settings, what systemd is told, and the users of RabbitMQ.

mod install {
    mod broker;
    mod manager;
    mod samples;
}
