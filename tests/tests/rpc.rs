//! The bus: both carriers against one suite, and RabbitMQ against everything that can befall it.

mod rpc {
    mod amqp;
    mod memory;
    mod outage;
    mod poison;
    mod support;
    mod tls;
}
