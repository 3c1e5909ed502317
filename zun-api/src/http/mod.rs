//! The REST API. A handler is three moves: take apart, input, show. Each resource has a folder, each verb
//! a file; extractors parse, so that a handler cannot see a bad value; `error.rs` alone says what a
//! refusal looks like.

mod containers;
mod error;
mod extract;
mod fields;
mod health;
mod hosts;
mod links;
mod microversion;
mod middleware;
mod paging;
mod response;
mod root;
mod routes;
mod rules;
mod services;
mod view;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::middleware::{NormalizePath, from_fn};
use actix_web::web::Data;
use actix_web::{App as Actix, HttpServer};
use zun_common::chain;
use zun_common::shutdown::Tasks;

use crate::app::App;

/// Connections at a time, of one of actix's workers.
const CONNECTIONS: usize = 4096;
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// For a client to take the end of a connection.
const GOODBYE: Duration = Duration::from_secs(3);

/// Listens, and serves until the tasks are told to end; then open requests may end. Says where.
pub(crate) fn serve(app: &Arc<App>, tasks: &Tasks) -> io::Result<SocketAddr> {
    let settings = app.settings.http.clone();
    let limit = Data::new(middleware::RequestLimit::new(settings.requests));
    let data = Data::from(Arc::clone(app));
    let server = HttpServer::new(move || {
        Actix::new()
            .app_data(data.clone())
            .app_data(limit.clone())
            .configure(routes::all)
            .wrap(NormalizePath::trim())
            .wrap(from_fn(middleware::handle))
    })
    .workers(settings.workers.max(1))
    .max_connections(CONNECTIONS)
    .keep_alive(KEEP_ALIVE)
    .client_request_timeout(Duration::from_secs(settings.client_timeout))
    .client_disconnect_timeout(GOODBYE)
    .shutdown_timeout(settings.drain)
    .disable_signals()
    .bind(settings.listen)?;
    let address = server.addrs().first().copied().unwrap_or(settings.listen);
    let mut server = server.run();
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
            tracing::error!(error = %chain(&error), "the listener failed");
        }
    });
    Ok(address)
}
