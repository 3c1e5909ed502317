//! `/v1/hosts`.

use actix_web::HttpRequest;
use actix_web::web::{Data, Path};
use zun_common::api::v1::host::HostList;

use super::answer::{Answer, ok};
use super::extract::{Ask, Asked};
use super::fields::Fields;
use super::paging::{self, LARGEST_PAGE};
use super::rules::WANTED;
use super::view::{self, Viewer};
use crate::app::{App, AppError, Caller, Invalid};

/// Which part of the list.
pub(super) struct HostPage {
    limit: usize,
    marker: Option<String>,
    descending: bool,
}

impl Ask for HostPage {
    fn read(fields: &mut Fields) -> Result<Self, AppError> {
        if let Some(key) = fields.text("sort_key", &WANTED)?
            && key != "hostname"
        {
            return Err(Invalid::new("sort_key", &key, "`hostname`").into());
        }
        Ok(Self {
            limit: paging::limit(fields)?.unwrap_or(LARGEST_PAGE),
            marker: fields.text("marker", &WANTED)?,
            descending: paging::descending(fields)?,
        })
    }
}

/// `GET /v1/hosts`
pub(super) async fn list(
    app: Data<App>,
    caller: Caller,
    viewer: Viewer,
    request: HttpRequest,
    ask: Asked<HostPage>,
) -> Answer {
    let HostPage { limit, marker, descending } = ask.0;
    let mut hosts = app.hosts(&caller).await?;
    if descending {
        hosts.reverse();
    }
    let mut begin = 0;
    if let Some(marker) = marker {
        let found = hosts.iter().position(|(host, _)| host.uuid == marker);
        begin = found.ok_or(AppError::NoHost(marker))? + 1;
    }
    let page: Vec<_> = hosts.iter().skip(begin).take(limit).collect();
    let next = page.last().filter(|_| page.len() == limit).map(|(last, _)| {
        viewer.base.next_page("hosts", request.query_string(), (limit, &last.uuid))
    });
    let hosts = page.into_iter().map(|(host, usage)| view::host(host, usage, &viewer)).collect();
    Ok(ok(&HostList { hosts, next }))
}

/// `GET /v1/hosts/{id or name}`
pub(super) async fn show(
    app: Data<App>,
    caller: Caller,
    viewer: Viewer,
    ident: Path<String>,
) -> Answer {
    let (host, usage) = app.host(&caller, &ident).await?;
    Ok(ok(&view::host(&host, &usage, &viewer)))
}
