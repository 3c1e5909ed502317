//! The REST API. Containers have a directory with one file for each verb. A handler takes validated input from the
//! extractors, calls the app, and returns a view. Only `error.rs` decides how errors look.

mod capsules;
mod containers;
mod error;
mod events;
mod extract;
mod field;
mod fields;
mod health;
mod hosts;
mod images;
mod links;
mod microversion;
mod middleware;
mod openapi;
mod paging;
mod placement;
mod quotas;
mod recordings;
mod registries;
mod resources;
mod response;
mod root;
mod routes;
mod rules;
mod services;
mod sessions;
mod ui;
mod view;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::middleware::{NormalizePath, from_fn};
use actix_web::web::{self, Data};
use actix_web::{App as Actix, HttpServer};
use zun_common::chain;
use zun_common::shutdown::Tasks;

use crate::app::{App, AppError};
use crate::tls::Tls;

/// Maximum number of connections of one actix worker.
const CONNECTIONS: usize = 4096;
/// Maximum number of connections of the listener for metrics.
const METRICS_CONNECTIONS: usize = 16;
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// Time for a client to close its connection.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// The HTTP status and the code of the response to an error.
pub(crate) fn status_and_code(error: &AppError) -> (u16, &'static str) {
    let response = error::error_response(error);
    (response.status.as_u16(), response.code)
}

/// Starts to listen, and serves until the tasks are cancelled; open requests may then finish. Returns the
/// address. Without `tls`, the listener speaks plain HTTP.
pub(crate) fn serve(app: &Arc<App>, tls: Option<Tls>, tasks: &Tasks) -> io::Result<SocketAddr> {
    let settings = app.settings.http.clone();
    let limit = Data::new(middleware::RequestLimit::new(settings.requests));
    let data = Data::from(Arc::clone(app));
    let document = Data::new(openapi::Document::with(&app.settings.defaults));
    let server = HttpServer::new(move || {
        Actix::new()
            .app_data(data.clone())
            .app_data(document.clone())
            .app_data(limit.clone())
            .configure(ui::register)
            .configure(routes::register)
            // The last one is called first: `handle` needs the normalized path.
            .wrap(from_fn(middleware::handle))
            .wrap(NormalizePath::trim())
    })
    .workers(settings.workers.max(1))
    .max_connections(CONNECTIONS)
    .keep_alive(KEEP_ALIVE)
    .client_request_timeout(Duration::from_secs(settings.client_timeout))
    .client_disconnect_timeout(DISCONNECT_TIMEOUT)
    .shutdown_timeout(settings.drain)
    .disable_signals();
    let server = match tls {
        Some(tls) => server.bind_rustls_0_23(settings.listen, tls.server),
        None => server.bind(settings.listen),
    }?;
    let address = server.addrs().first().copied().unwrap_or(settings.listen);
    run(server.run(), tasks);
    Ok(address)
}

/// Serves the metrics over plain HTTP on a separate listener. Returns the address.
pub(crate) fn serve_metrics(
    app: &Arc<App>,
    listen: SocketAddr,
    tasks: &Tasks,
) -> io::Result<SocketAddr> {
    let data = Data::from(Arc::clone(app));
    let server = HttpServer::new(move || {
        Actix::new().app_data(data.clone()).route("/metrics", web::get().to(health::own_metrics))
    })
    .workers(1)
    .max_connections(METRICS_CONNECTIONS)
    .client_request_timeout(Duration::from_secs(app.settings.http.client_timeout))
    .client_disconnect_timeout(DISCONNECT_TIMEOUT)
    .shutdown_timeout(1)
    .disable_signals()
    .bind(listen)?;
    let address = server.addrs().first().copied().unwrap_or(listen);
    run(server.run(), tasks);
    Ok(address)
}

/// Runs a server until the tasks are cancelled; open requests may then finish.
fn run(mut server: Server, tasks: &Tasks) {
    let (handle, own) = (server.handle(), tasks.clone());
    tasks.spawn(async move {
        let ended = tokio::select! {
            ended = &mut server => ended,
            () = own.cancelled() => {
                let (_stopped, ended) = tokio::join!(handle.stop(true), server);
                ended
            }
        };
        if let Err(error) = ended {
            tracing::error!(error = %chain(&error), "the HTTP server failed");
        }
    });
}
