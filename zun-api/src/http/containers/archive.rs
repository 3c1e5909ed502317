//! `GET /v1/containers/{ident}/get_archive` and `POST …/put_archive`, for small archives in JSON. `zun cp` copies
//! directly between the client and the host.

use actix_web::HttpRequest;
use actix_web::web::Data;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zun_common::api::v1::files::{ArchiveStat, ContainerArchive};

use crate::app::containers::Ident;
use crate::app::{App, AppError, Caller, InvalidField};
use crate::http::extract::{FromFields, Parsed, version};
use crate::http::field::{Field, text_field};
use crate::http::fields::Fields;
use crate::http::microversion::Microversion;
use crate::http::response::{ApiResult, done, ok};
use crate::http::rules::{ANY_TEXT, PATH};

/// The largest body of a request with an archive: its base64, and space for the rest.
pub(super) const LARGEST_BODY: usize = 8 << 20;
/// The first microversion in which archives are in base64. Before, each character is a byte.
const BASE64: Microversion = Microversion::new(25);

const PATH_FIELD: Field =
    text_field("path", PATH, "The path in the container").required().in_query();

/// A request for an archive.
pub(in crate::http) struct GetArchive {
    path: String,
}

impl FromFields for GetArchive {
    const FIELDS: &'static [Field] = &[PATH_FIELD];

    fn read(fields: &mut Fields) -> Result<Self, AppError> {
        Ok(Self { path: path(fields)? })
    }
}

/// An archive to unpack.
pub(in crate::http) struct PutArchive {
    path: String,
    data: Vec<u8>,
}

impl FromFields for PutArchive {
    const FIELDS: &'static [Field] = &[
        PATH_FIELD,
        text_field("data", ANY_TEXT, "The tar archive, in base64 from 1.25 on").required(),
    ];

    fn read(fields: &mut Fields) -> Result<Self, AppError> {
        let path = path(fields)?;
        let text = fields.text("data").ok_or_else(|| fields.missing("data"))?;
        let data =
            if fields.version() < BASE64 { bytes(&text) } else { STANDARD.decode(&text).ok() };
        let rule = if fields.version() < BASE64 {
            "characters up to U+00FF, each of them a byte"
        } else {
            "base64"
        };
        let data = data.ok_or_else(|| InvalidField::new("data", &text, rule))?;
        Ok(Self { path, data })
    }
}

fn path(fields: &mut Fields) -> Result<String, InvalidField> {
    fields.text("path").ok_or_else(|| fields.missing("path"))
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    text.chars().map(|byte| u8::try_from(u32::from(byte)).ok()).collect()
}

/// Returns a file or directory as a tar archive.
pub(in crate::http) async fn get_archive(
    app: Data<App>,
    caller: Caller,
    ident: Ident,
    request: HttpRequest,
    input: Parsed<GetArchive>,
) -> ApiResult {
    let archive = app.get_archive(&caller, &ident, input.0.path).await?;
    let data = if version(&request) < BASE64 {
        archive.data.iter().copied().map(char::from).collect()
    } else {
        STANDARD.encode(&archive.data)
    };
    let stat = ArchiveStat {
        name: archive.stat.name,
        size: archive.stat.size,
        mode: archive.stat.mode,
        mtime: archive.stat.modified.map(|time| time.to_rfc3339()),
        link_target: archive.stat.link_target,
    };
    Ok(ok(&ContainerArchive { data, stat }))
}

/// Unpacks a tar archive into a directory.
pub(in crate::http) async fn put_archive(
    app: Data<App>,
    caller: Caller,
    ident: Ident,
    input: Parsed<PutArchive>,
) -> ApiResult {
    let PutArchive { path, data } = input.0;
    app.put_archive(&caller, &ident, (path, data)).await?;
    Ok(done())
}
