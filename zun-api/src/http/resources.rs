//! `/v1/volumes` and `/v1/networks`: what containers of a project share on a host.

use actix_web::http::header::LOCATION;
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;
use zun_common::api::v1::resource::{NetworkList, Resource, VolumeList};
use zun_common::resource::{Ipv4Subnet, NetworkOptions, ResourceKind};

use super::extract::{FromFields, NoFields, Parsed};
use super::field::{Field, Kind, Rule, boolean_field, field, text_field};
use super::fields::Fields;
use super::paging::{self, ItemPage};
use super::response::{ApiResult, ok};
use super::routes::{Route, to};
use super::rules::{NAME, SHORT_TEXT};
use super::view::{self, ViewContext};
use crate::app::resources::{NewResource, ResourceFilter, Used};
use crate::app::{App, AppError, Caller, InvalidField, Permission};

/// The routes of volumes and networks. They are not in OpenStack Zun's API as they are here.
pub(super) const ROUTES: &[Route] = &[
    Route::get("/v1/volumes", "List the volumes", to!(list_volumes))
        .for_all()
        .reads::<ResourcePage>()
        .returns::<VolumeList>(),
    Route::post("/v1/volumes", "Create a volume", to!(create_volume))
        .reads::<NewVolume>()
        .success(201)
        .returns::<Resource>(),
    Route::get("/v1/volumes/{ident}", "Show a volume", to!(show_volume))
        .for_all()
        .returns::<Resource>(),
    Route::delete("/v1/volumes/{ident}", "Delete a volume with its data", to!(delete_volume))
        .returns_nothing(),
    Route::get("/v1/networks", "List the networks", to!(list_networks))
        .for_all()
        .reads::<ResourcePage>()
        .returns::<NetworkList>(),
    Route::post("/v1/networks", "Create a network", to!(create_network))
        .reads::<NewNetwork>()
        .success(201)
        .returns::<Resource>(),
    Route::get("/v1/networks/{ident}", "Show a network", to!(show_network))
        .for_all()
        .returns::<Resource>(),
    Route::delete("/v1/networks/{ident}", "Delete a network", to!(delete_network))
        .returns_nothing(),
];

const SUBNET: Rule = Rule {
    description: "a private IPv4 network such as `10.5.0.0/24`, with a prefix from 8 to 30, in 10.0.0.0/8, 172.16.0.0/12 or \
                  192.168.0.0/16",
    is_valid: is_private_subnet,
};

fn is_private_subnet(text: &str) -> bool {
    let Ok(Ipv4Subnet { address, prefix }) = text.parse() else { return false };
    let smallest = match address.octets() {
        [10, ..] => 8,
        [172, 16..=31, ..] => 12,
        [192, 168, ..] => 16,
        _ => return false,
    };
    (smallest..=30).contains(&prefix) && address.to_bits().trailing_zeros() >= 32 - prefix
}

/// A volume to create.
pub(super) struct NewVolume(NewResource);

const NAME_FIELD: Field = text_field("name", NAME, "The name, unique in the project").required();

impl FromFields for NewVolume {
    const FIELDS: &'static [Field] = &[NAME_FIELD];

    fn read(fields: &mut Fields) -> Result<Self, AppError> {
        let options = NetworkOptions::default();
        Ok(Self(NewResource { name: name(fields)?, options }))
    }
}

/// A network to create.
pub(super) struct NewNetwork(NewResource);

impl FromFields for NewNetwork {
    const FIELDS: &'static [Field] = &[
        NAME_FIELD,
        text_field("subnet", SUBNET, "Its subnet; the host chooses one if absent")
            .only(Permission::ChooseSubnet),
        boolean_field("internal", "Block connections between the network and the outside"),
        field("neutron_net_id", Kind::Custom(|| json!({})), "Not supported: there is no Neutron"),
    ];

    fn read(fields: &mut Fields) -> Result<Self, AppError> {
        if fields.take("neutron_net_id").is_some() {
            let words = "Neutron networks are not supported: omit `neutron_net_id` to create a network on a host.";
            return Err(AppError::NotSupported(words));
        }
        let options =
            NetworkOptions { subnet: fields.text("subnet"), internal: fields.flag("internal") };
        let name = name(fields)?;
        if matches!(name.as_str(), "none" | "host" | "bridge" | "default") {
            let rule =
                "a name other than `none`, `host`, `bridge` and `default`, which are reserved";
            return Err(InvalidField::new("name", &name, rule).into());
        }
        Ok(Self(NewResource { name, options }))
    }
}

fn name(fields: &mut Fields) -> Result<String, InvalidField> {
    let missing = fields.missing("name");
    fields.text("name").ok_or(missing)
}

/// Selects a part of the list.
pub(super) struct ResourcePage {
    filter: ResourceFilter,
    page: ItemPage,
}

impl FromFields for ResourcePage {
    const FIELDS: &'static [Field] = &[
        paging::LIMIT,
        paging::MARKER,
        paging::SORT_DIR,
        paging::SORT_KEY,
        boolean_field("all_projects", "Include those of other projects")
            .only(Permission::SeeAllProjects),
        text_field("name", SHORT_TEXT, "Only those with this name"),
    ];

    fn read(fields: &mut Fields) -> Result<Self, AppError> {
        let filter =
            ResourceFilter { all_projects: fields.flag("all_projects"), name: fields.text("name") };
        Ok(Self { filter, page: ItemPage::read(fields) })
    }
}

/// The collection in paths.
const fn collection(kind: ResourceKind) -> &'static str {
    match kind {
        ResourceKind::Volume => "volumes",
        ResourceKind::Network => "networks",
    }
}

/// What each handler gets.
struct Call {
    app: Data<App>,
    caller: Caller,
    view_context: ViewContext,
}

impl Call {
    async fn page(
        self,
        kind: ResourceKind,
        (request, input): (HttpRequest, ResourcePage),
    ) -> Result<(Vec<Resource>, Option<String>), AppError> {
        let ResourcePage { filter, page } = input;
        let all = self.app.resources(&self.caller, kind, filter).await?;
        let id = |used: &Used| used.record.id.to_string();
        let missing = |ident| AppError::ResourceNotFound { kind, ident };
        let (shown, last) = page.select(all, id).map_err(missing)?;
        let base = &self.view_context.base;
        let next = last.map(|last| {
            base.next_page(collection(kind), request.query_string(), (page.limit, &last))
        });
        let shown = shown.iter().map(|used| self.view(used)).collect();
        Ok((shown, next))
    }

    async fn create(self, kind: ResourceKind, wanted: NewResource) -> ApiResult {
        let used = self.app.create_resource(&self.caller, kind, wanted).await?;
        let path = format!("/v1/{}/{}", collection(kind), used.record.id);
        let location = self.view_context.base.join(&path);
        let created =
            HttpResponse::Created().insert_header((LOCATION, location)).json(self.view(&used));
        Ok(created)
    }

    async fn show(self, kind: ResourceKind, ident: &str) -> ApiResult {
        let used = self.app.resource(&self.caller, kind, ident).await?;
        Ok(ok(&self.view(&used)))
    }

    async fn delete(self, kind: ResourceKind, ident: &str) -> ApiResult {
        self.app.clone().into_inner().delete_resource(&self.caller, kind, ident).await?;
        Ok(HttpResponse::NoContent().finish())
    }

    fn view(&self, used: &Used) -> Resource {
        view::resource(used, collection(used.record.kind), (&self.caller, &self.view_context))
    }
}

/// `GET /v1/volumes`
pub(super) async fn list_volumes(
    app: Data<App>,
    caller: Caller,
    view_context: ViewContext,
    request: HttpRequest,
    input: Parsed<ResourcePage>,
) -> ApiResult {
    let call = Call { app, caller, view_context };
    let (volumes, next) = call.page(ResourceKind::Volume, (request, input.0)).await?;
    Ok(ok(&VolumeList { volumes, next }))
}

/// `GET /v1/networks`
pub(super) async fn list_networks(
    app: Data<App>,
    caller: Caller,
    view_context: ViewContext,
    request: HttpRequest,
    input: Parsed<ResourcePage>,
) -> ApiResult {
    let call = Call { app, caller, view_context };
    let (networks, next) = call.page(ResourceKind::Network, (request, input.0)).await?;
    Ok(ok(&NetworkList { networks, next }))
}

/// `POST /v1/volumes`
pub(super) async fn create_volume(
    app: Data<App>,
    caller: Caller,
    view_context: ViewContext,
    input: Parsed<NewVolume>,
) -> ApiResult {
    let NewVolume(wanted) = input.0;
    Call { app, caller, view_context }.create(ResourceKind::Volume, wanted).await
}

/// `POST /v1/networks`
pub(super) async fn create_network(
    app: Data<App>,
    caller: Caller,
    view_context: ViewContext,
    input: Parsed<NewNetwork>,
) -> ApiResult {
    let NewNetwork(wanted) = input.0;
    Call { app, caller, view_context }.create(ResourceKind::Network, wanted).await
}

macro_rules! verbs {
    ($kind:path, $(#[$show_doc:meta])* $show:ident, $(#[$delete_doc:meta])* $delete:ident) => {
        $(#[$show_doc])*
        pub(super) async fn $show(
            app: Data<App>,
            caller: Caller,
            view_context: ViewContext,
            ident: Path<String>,
            _input: Parsed<NoFields>,
        ) -> ApiResult {
            Call { app, caller, view_context }.show($kind, &ident).await
        }

        $(#[$delete_doc])*
        pub(super) async fn $delete(
            app: Data<App>,
            caller: Caller,
            view_context: ViewContext,
            ident: Path<String>,
            _input: Parsed<NoFields>,
        ) -> ApiResult {
            Call { app, caller, view_context }.delete($kind, &ident).await
        }
    };
}

verbs!(
    ResourceKind::Volume,
    /// `GET /v1/volumes/{id or name}`
    show_volume,
    /// `DELETE /v1/volumes/{id or name}`
    delete_volume
);
verbs!(
    ResourceKind::Network,
    /// `GET /v1/networks/{id or name}`
    show_network,
    /// `DELETE /v1/networks/{id or name}`
    delete_network
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subnet_is_private_and_has_no_bits_beyond_its_prefix() {
        for good in ["10.0.0.0/8", "10.5.0.0/24", "172.31.0.0/16", "192.168.7.4/30"] {
            assert!(is_private_subnet(good), "{good}");
        }
        for bad in [
            "",
            "10.0.0.0",
            "10.0.0.0/7",
            "10.5.0.1/24",
            "172.32.0.0/16",
            "192.168.0.0/15",
            "8.8.8.0/24",
            "127.0.0.0/8",
            "10.0.0.0/31",
            "10.0.0.0/08",
            "fd00::/64",
            "10.0.0.0/x",
        ] {
            assert!(!is_private_subnet(bad), "{bad}");
        }
    }
}
