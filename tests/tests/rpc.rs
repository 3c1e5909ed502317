//! Tests of the bus: the conformance suite for both transports, and outages of RabbitMQ.

mod rpc {
    mod amqp;
    mod memory;
    mod outage;
    mod poison;
    mod support;
    mod tls;
}
