//! Maps paths and methods to handlers.

use actix_web::HttpRequest;
use actix_web::http::Method;
use actix_web::web::{self, ServiceConfig, get, post, resource, scope};

use super::{containers, health, hosts, root, services};

/// The route of one container.
pub(super) const CONTAINER: &str = "/v1/containers/{ident}";
/// The route that waits for a run of a container.
pub(super) const WAIT: &str = "/v1/containers/{ident}/wait";

/// Whether a request lists or shows containers, and returns nothing of what runs in them.
pub(super) fn only_reads(request: &HttpRequest) -> bool {
    const READS: [&str; 5] = [
        "/v1/containers",
        CONTAINER,
        "/v1/containers/{ident}/runs",
        "/v1/containers/{ident}/container_actions",
        "/v1/containers/{ident}/container_actions/{request}",
    ];
    let pattern = request.match_pattern();
    *request.method() == Method::GET && pattern.is_none_or(|pattern| READS.contains(&&*pattern))
}

/// All routes.
pub(super) fn all(config: &mut ServiceConfig) {
    config
        .service(resource("/").route(get().to(root::versions)).default_service(not_found()))
        .service(resource("/healthz").route(get().to(health::healthz)).default_service(not_found()))
        .service(resource("/metrics").route(get().to(health::metrics)).default_service(not_found()))
        .service(resource("/v1").route(get().to(root::v1)).default_service(not_found()))
        .service(
            scope("/v1")
                .configure(all_containers)
                .service(
                    resource("/hosts")
                        .route(get().to(hosts::list))
                        .default_service(not_found_in_v1()),
                )
                .service(
                    resource("/hosts/{ident}")
                        .route(get().to(hosts::show))
                        .default_service(not_found_in_v1()),
                )
                .service(
                    resource("/hosts/{name}/recover")
                        .route(post().to(hosts::recover))
                        .default_service(not_found_in_v1()),
                )
                .service(
                    resource("/hosts/{name}/replace")
                        .route(post().to(hosts::replace))
                        .default_service(not_found_in_v1()),
                )
                .service(
                    resource("/services")
                        .route(get().to(services::list))
                        .default_service(not_found_in_v1()),
                )
                .default_service(not_found_in_v1()),
        )
        .default_service(not_found());
}

fn all_containers(config: &mut ServiceConfig) {
    config.service(
        resource("/containers")
            .route(post().to(containers::create))
            .route(get().to(containers::list))
            .default_service(not_found_in_v1()),
    );
    config.service(
        resource("/containers/{ident}")
            .route(get().to(containers::show))
            .route(web::patch().to(containers::update))
            .route(web::delete().to(containers::delete))
            .default_service(not_found_in_v1()),
    );
    macro_rules! verbs {
        ($($method:ident $verb:literal $handler:path),+ $(,)?) => {
            $(config.service(
                resource(concat!("/containers/{ident}/", $verb))
                    .route($method().to($handler))
                    .default_service(not_found_in_v1()),
            );)+
        };
    }
    verbs!(
        post "start" containers::start,
        post "stop" containers::stop,
        post "reboot" containers::reboot,
        post "pause" containers::pause,
        post "unpause" containers::unpause,
        post "kill" containers::kill,
        get "top" containers::top,
        get "stats" containers::stats,
        post "archive" containers::grant_archive,
        post "execute" containers::execute,
        post "execute_resize" containers::execute_resize,
        post "execute_attach" containers::execute_attach,
        post "execute_kill" containers::execute_kill,
        post "resize" containers::resize,
        get "runs" containers::list_runs,
        post "wait" containers::wait,
        get "container_actions" containers::list_actions,
        get "container_actions/{request}" containers::show_action,
    );
    config.service(
        resource("/containers/{ident}/logs")
            .route(get().to(containers::logs))
            .route(post().to(containers::grant_logs))
            .default_service(not_found_in_v1()),
    );
    config.service(
        resource("/containers/{ident}/attach")
            .route(post().to(containers::attach))
            .route(get().to(containers::attach_websocket))
            .default_service(not_found_in_v1()),
    );
}

/// Handles unknown routes and methods. Within `/v1` the caller must be authenticated first.
fn not_found_in_v1() -> actix_web::Route {
    web::route().to(root::not_found_in_v1)
}

fn not_found() -> actix_web::Route {
    web::route().to(root::not_found)
}
