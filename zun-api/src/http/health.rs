//! Endpoints for monitoring.

use actix_web::HttpResponse;
use actix_web::web::Data;
use serde_json::{Value, json};
use zun_common::chain;

use super::response::ApiResult;
use super::routes::{Route, to};
use crate::app::{App, AppError};

/// The media type of the metrics.
const METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The routes for monitoring.
pub(super) const ROUTES: &[Route] = &[
    Route::get("/healthz", "Check the health of zun-api", to!(healthz))
        .for_all()
        .returns::<Value>(),
    Route::get("/metrics", "Show the metrics of zun-api", to!(metrics))
        .for_all()
        .returns_text(METRICS),
];

/// `GET /healthz`: 503 if the database does not answer or zun-api is shutting down. The state of the bus is
/// informational, because many requests work without it.
pub(super) async fn healthz(app: Data<App>) -> HttpResponse {
    let bus = if app.bus.transport().is_connected() { "connected" } else { "disconnected" };
    match app.db.check().await {
        Ok(()) if app.closing.is_cancelled() => HttpResponse::ServiceUnavailable()
            .insert_header(("retry-after", "1"))
            .content_type("application/json")
            .body(json!({"status": "stopping", "database": "ok", "bus": bus}).to_string()),
        Ok(()) => HttpResponse::Ok().json(json!({"status": "ok", "database": "ok", "bus": bus})),
        Err(error) => {
            tracing::error!(error = %chain(&error), "the database does not answer");
            HttpResponse::ServiceUnavailable()
                .json(json!({"status": "failing", "database": "failing", "bus": bus}))
        }
    }
}

/// `GET /metrics` of the API. It does not exist if the metrics have a separate listener.
pub(super) async fn metrics(app: Data<App>) -> ApiResult {
    if app.settings.metrics.listen.is_some() {
        return Err(AppError::RouteNotFound);
    }
    Ok(own_metrics(app).await)
}

/// `GET /metrics` of the listener that only serves them.
pub(super) async fn own_metrics(app: Data<App>) -> HttpResponse {
    HttpResponse::Ok().content_type(METRICS).body(app.metrics_text().await)
}
