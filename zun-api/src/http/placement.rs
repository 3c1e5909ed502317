//! `/v1/placement`: where a container would be created.

use std::borrow::Cow;
use std::collections::BTreeMap;

use actix_web::web::Data;
use zun_common::api::v1::placement::{
    Candidate, Placement, PlannedImage, PlannedLimits, RefusedHosts,
};

use super::extract::Parsed;
use super::response::{ApiResult, ok};
use super::routes::{Route, to};
use crate::app::containers::{Explanation, NewContainer};
use crate::app::{App, Caller};
use crate::settings::PlacementStrategy;

/// The routes of placements. Not in OpenStack Zun's API.
pub(super) const ROUTES: &[Route] = &[Route::post(
    "/v1/placement",
    "Explain where a container would be created, and create nothing",
    to!(explain),
)
.reads::<NewContainer>()
.returns::<Placement>()];

async fn explain(app: Data<App>, caller: Caller, input: Parsed<NewContainer>) -> ApiResult {
    let explanation = Box::pin(app.explain(&caller, input.0)).await?;
    Ok(ok(&placement(&explanation)))
}

/// A caller who may not see hosts only gets the number of hosts that each filter refused, because names and amounts reveal
/// other projects.
fn placement(explanation: &Explanation) -> Placement {
    let Explanation { requested, host, strategy, hosts, with_image, login, sees_hosts } =
        explanation;
    let refusals = hosts.iter().filter_map(|(_, load)| load.as_ref().err());
    let mut refused: BTreeMap<Cow<'static, str>, u64> = BTreeMap::new();
    for reason in refusals {
        *refused.entry(reason.for_tenants()).or_default() += 1;
    }
    let candidates = hosts.iter().map(|(name, load)| Candidate {
        host: name.to_string(),
        load: load.as_ref().ok().copied(),
        reason: load.as_ref().err().map(ToString::to_string),
        has_image: with_image.contains(name),
    });
    let named = host.as_ref().filter(|_| *sees_hosts);
    let (image, domain) = explanation.image();
    Placement {
        fits: host.is_some(),
        host: named.map(ToString::to_string),
        strategy: match strategy {
            PlacementStrategy::Spread => "spread",
            PlacementStrategy::Pack => "pack",
        }
        .to_owned(),
        hosts: hosts.len().try_into().unwrap_or(u64::MAX),
        fitting: hosts
            .iter()
            .filter(|(_, load)| load.is_ok())
            .count()
            .try_into()
            .unwrap_or(u64::MAX),
        refused: refused
            .into_iter()
            .map(|(reason, hosts)| RefusedHosts { reason: reason.into_owned(), hosts })
            .collect(),
        candidates: sees_hosts.then(|| candidates.collect()),
        image: PlannedImage {
            name: image,
            domain,
            pull_policy: requested.pull,
            registry: login.clone(),
        },
        limits: PlannedLimits {
            cpu: f64::from(requested.resources.cpus.millis()) / 1000.0,
            memory: requested.resources.memory.0,
            disk: requested.disk.map(|disk| disk.0),
        },
    }
}
