//! Which path and verb is answered by what.

use actix_web::web::{self, ServiceConfig, get, post, resource, scope};

use super::{containers, health, hosts, root, services};

/// All routes.
pub(super) fn all(config: &mut ServiceConfig) {
    config
        .service(resource("/").route(get().to(root::versions)).default_service(nothing()))
        .service(resource("/healthz").route(get().to(health::healthz)).default_service(nothing()))
        .service(resource("/metrics").route(get().to(health::metrics)).default_service(nothing()))
        .service(resource("/v1").route(get().to(root::v1)).default_service(nothing()))
        .service(
            scope("/v1")
                .configure(all_containers)
                .service(resource("/hosts").route(get().to(hosts::list)).default_service(unknown()))
                .service(
                    resource("/hosts/{ident}")
                        .route(get().to(hosts::show))
                        .default_service(unknown()),
                )
                .service(
                    resource("/services")
                        .route(get().to(services::list))
                        .default_service(unknown()),
                )
                .default_service(unknown()),
        )
        .default_service(nothing());
}

fn all_containers(config: &mut ServiceConfig) {
    config.service(
        resource("/containers")
            .route(post().to(containers::create))
            .route(get().to(containers::list))
            .default_service(unknown()),
    );
    config.service(
        resource("/containers/{ident}")
            .route(get().to(containers::show))
            .route(web::patch().to(containers::update))
            .route(web::delete().to(containers::delete))
            .default_service(unknown()),
    );
    macro_rules! verbs {
        ($($method:ident $verb:literal $handler:path),+ $(,)?) => {
            $(config.service(
                resource(concat!("/containers/{ident}/", $verb))
                    .route($method().to($handler))
                    .default_service(unknown()),
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
        post "archive" containers::archive_by_dial,
        post "execute" containers::execute,
        post "execute_resize" containers::execute_resize,
        post "execute_attach" containers::execute_attach,
        post "execute_kill" containers::execute_kill,
        post "resize" containers::resize,
    );
    config.service(
        resource("/containers/{ident}/logs")
            .route(get().to(containers::logs))
            .route(post().to(containers::logs_by_dial))
            .default_service(unknown()),
    );
    config.service(
        resource("/containers/{ident}/attach")
            .route(post().to(containers::attach))
            .route(get().to(containers::attach_by_gate))
            .default_service(unknown()),
    );
}

/// No such route, or a verb that it has not. Within `/v1` only those who may call hear even that.
fn unknown() -> actix_web::Route {
    web::route().to(root::unknown)
}

fn nothing() -> actix_web::Route {
    web::route().to(root::nothing)
}
