//! Helpers for the conditions that use the client's library.

use zun_common::api::v1::console::{AttachRequest, ConsoleEndpoint};
use zun_common::grant::Mode;
use zun_common::pki::signing_request;
use zun_common::secret::Secret;
use zun_tests::zun_cli::{Name, ZunCli};
use zunclient::api::{Client, TlsFiles};
use zunclient::auth::Auth;
use zunclient::console::Proxies;
use zunclient::settings::Settings;

/// Starts a container without a terminal that echoes its input and runs until it is removed.
pub(super) fn running(zun: &ZunCli, prefix: &str) -> Name {
    let name = zun.name(prefix);
    zun.must(&["create", "-i", "--name", name.as_str(), "cirros", "cat"]);
    zun.must(&["start", name.as_str()]);
    name
}

/// Starts a shell on a terminal.
pub(super) fn shell(zun: &ZunCli, prefix: &str) -> Name {
    let name = zun.name(prefix);
    zun.must(&["create", "-i", "-t", "--name", name.as_str(), "cirros", "/bin/sh"]);
    zun.must(&["start", name.as_str()]);
    name
}

/// Returns a client of the service.
pub(super) fn client(zun: &ZunCli) -> Client {
    let settings = Settings {
        endpoint: zun.variable("OS_ENDPOINT").to_owned(),
        auth: Auth::Token(Secret::new(zun.variable("OS_TOKEN").to_owned())),
        tls: TlsFiles::default(),
        proxies: Proxies::default(),
        debug: false,
    };
    Client::new(&settings, |_| {}).expect("a client")
}

/// Returns a console's endpoint and the key for it.
pub(super) async fn endpoint(zun: &ZunCli, name: &str) -> (ConsoleEndpoint, Secret<String>) {
    let request = signing_request("client", Vec::new()).expect("a request");
    let ask = AttachRequest {
        csr: request.csr,
        protocols: vec!["docker.attach".to_owned()],
        mode: Mode::ReadWrite,
        before_start: false,
    };
    (client(zun).attach(name, &ask).await.expect("a console"), request.key)
}
