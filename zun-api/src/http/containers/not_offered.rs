//! Routes of OpenStack Zun that need a service that Zun does not have. The answer names it.

use actix_web::web::Data;

use crate::app::containers::Ident;
use crate::app::{App, AppError, Caller};
use crate::http::extract::{FromFields, NoFields, Parsed};
use crate::http::field::{Field, text_field};
use crate::http::fields::Fields;
use crate::http::response::ApiResult;
use crate::http::rules::SHORT_TEXT;

/// A security group.
pub(in crate::http) struct SecurityGroup;

impl FromFields for SecurityGroup {
    const FIELDS: &'static [Field] =
        &[text_field("name", SHORT_TEXT, "The security group").in_query()];

    fn read(fields: &mut Fields) -> Result<Self, AppError> {
        fields.text("name");
        Ok(Self)
    }
}

/// A network of Neutron.
pub(in crate::http) struct Network;

impl FromFields for Network {
    const FIELDS: &'static [Field] = &[
        text_field("network", SHORT_TEXT, "The network").in_query(),
        text_field("port", SHORT_TEXT, "The port").in_query(),
        text_field("fixed_ip", SHORT_TEXT, "The address").in_query(),
    ];

    fn read(fields: &mut Fields) -> Result<Self, AppError> {
        for name in ["network", "port", "fixed_ip"] {
            fields.text(name);
        }
        Ok(Self)
    }
}

pub(in crate::http) async fn security_group(
    app: Data<App>,
    caller: Caller,
    ident: Ident,
    _input: Parsed<SecurityGroup>,
) -> ApiResult {
    app.find(&caller, &ident).await?;
    Err(AppError::NotSupported(
        "Security groups are not supported, because they need Neutron. Publish only the ports that others may reach.",
    ))
}

pub(in crate::http) async fn change_network(
    app: Data<App>,
    caller: Caller,
    ident: Ident,
    _input: Parsed<Network>,
) -> ApiResult {
    app.find(&caller, &ident).await?;
    Err(AppError::NotSupported(
        "Attaching and detaching networks is not supported, because it needs Neutron.",
    ))
}

pub(in crate::http) async fn list_networks(
    app: Data<App>,
    caller: Caller,
    ident: Ident,
    _input: Parsed<NoFields>,
) -> ApiResult {
    app.find(&caller, &ident).await?;
    Err(AppError::NotSupported(
        "Listing a container's networks is not supported, because it needs Neutron. Its field `addresses` has its addresses.",
    ))
}
