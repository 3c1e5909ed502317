//! The OpenAPI 3.1 document, generated from the tables of routes and fields.

use actix_web::HttpResponse;
use actix_web::web::{Bytes, Data};
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};
use zun_common::api::v1::error::ErrorBody;

use super::field::{Field, Kind};
use super::microversion::Microversion;
use super::response::ApiResult;
use super::routes::{self, Reply, Route, Verb, to};
use super::view::{self, Gated};
use crate::settings::DefaultLimits;

/// The route of the document.
pub(super) const ROUTES: &[Route] =
    &[Route::get("/openapi.json", "Show this document", to!(show)).for_all().returns::<Value>()];

/// The text of the document.
#[derive(Debug)]
pub(super) struct Document(Bytes);

impl Document {
    /// The document of a service with these defaults.
    pub(super) fn with(defaults: &DefaultLimits) -> Self {
        Self(text(defaults).into())
    }
}

/// `GET /openapi.json`
pub(super) async fn show(document: Data<Document>) -> ApiResult {
    Ok(HttpResponse::Ok().content_type("application/json").body(document.0.clone()))
}

fn text(defaults: &DefaultLimits) -> String {
    let mut text = serde_json::to_string_pretty(&document(defaults)).unwrap_or_default();
    text.push('\n');
    text
}

fn document(defaults: &DefaultLimits) -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut schemas = settings.for_serialize().into_generator();
    let error = schemas.subschema_for::<ErrorBody>();
    let mut paths = Map::new();
    for route in routes::all() {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        if let Some(path) = path.as_object_mut() {
            path.insert(method(route).to_owned(), operation(route, &mut schemas, defaults));
        }
    }
    let mut definitions = schemas.take_definitions(true);
    for (name, gated) in view::TABLES {
        if let Some(schema) = definitions.get_mut(name) {
            mark_gated(schema, gated);
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Zun",
            "summary": "OpenStack's container API, version 1, with Zun's extensions",
            "description": INTRODUCTION,
            "version": Microversion::NEWEST.to_string(),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "securitySchemes": {
                "token": {"type": "apiKey", "in": "header", "name": "X-Auth-Token"},
                "bearer": {"type": "http", "scheme": "bearer"},
            },
            "parameters": {
                "version": {
                    "name": "OpenStack-API-Version",
                    "in": "header",
                    "description": "The microversion: `container 1.N` or `container latest`. Without it, 1.1.",
                    "schema": {"type": "string", "pattern": "^container (1\\.[0-9]+|latest)$"},
                },
                "key": {
                    "name": "Idempotency-Key",
                    "in": "header",
                    "description": "Idempotency key. zun-api carries out only the first request of a project with this key, and answers repeats with its result.",
                    "schema": {"type": "string", "pattern": "^[ -~]{1,255}$"},
                },
            },
            "responses": {"Error": {
                "description": "The request failed.",
                "content": {"application/json": {"schema": error}},
            }},
            "schemas": definitions,
        },
    })
}

/// Marks the fields of a response that not every request sees. They are not required.
fn mark_gated(schema: &mut Value, gated: &[Gated]) {
    if let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut) {
        required.retain(|name| gated.iter().all(|field| name != field.name));
    }
    for field in gated {
        let Some(property) = schema.pointer_mut(&format!("/properties/{}", field.name)) else {
            continue;
        };
        if field.since() != Microversion::OLDEST {
            set(property, "x-since", json!(field.since().to_string()));
        }
        if field.is_for_admins {
            set(property, "x-admin-only", json!(true));
        }
    }
}

const INTRODUCTION: &str = "\
The microversion is in the header `OpenStack-API-Version`. An operation has `x-since` and, if it was removed, `x-until`; \
outside them, the answer is 406. A field has `x-since`: with an older microversion, zun-api refuses the field \
unless its value has no effect. A field of a response has `x-since`, and is absent with an older microversion; \
`x-admin-only` marks fields that only administrators see.\n\n\
The fields of a POST, PUT or PATCH may be in the body or in the query. Numbers and booleans may be strings, such as \
`\"512\"` and `\"True\"`. `null`, and the word `None` in a query, are the same as an absent field. `x-permission` is \
the rule of the policy that a caller needs.";

const fn method(route: &Route) -> &'static str {
    match route.verb {
        Verb::Get => "get",
        Verb::Post => "post",
        Verb::Put => "put",
        Verb::Patch => "patch",
        Verb::Delete => "delete",
    }
}

fn operation(route: &Route, schemas: &mut SchemaGenerator, defaults: &DefaultLimits) -> Value {
    let (query, body): (Vec<&Field>, Vec<&Field>) =
        route.fields.iter().partition(|field| !has_body(route) || field.is_in_query);
    let mut parameters = path_parameters(route.path);
    parameters.extend(query.into_iter().map(parameter));
    let mut operation = json!({
        "operationId": id(route),
        "summary": route.summary,
        "tags": [tag(route.path)],
        "x-since": route.since.to_string(),
        "responses": {
            route.success.to_string(): success(route, schemas),
            "default": {"$ref": "#/components/responses/Error"},
        },
    });
    if let Some(permission) = route.permission {
        set(&mut operation, "x-permission", json!(permission.policy()));
    }
    if route.until != Microversion::NEWEST {
        set(&mut operation, "x-until", json!(route.until.to_string()));
    }
    if !route.is_public() {
        set(&mut operation, "security", json!([{"token": []}, {"bearer": []}]));
        parameters.push(json!({"$ref": "#/components/parameters/version"}));
        if route.verb != Verb::Get {
            parameters.push(json!({"$ref": "#/components/parameters/key"}));
        }
    }
    if matches!(route.reply, Reply::Stream(..)) {
        parameters.push(json!({
            "name": "Last-Event-ID",
            "in": "header",
            "description": "Continue after the event with this ID.",
            "schema": {"type": "string", "pattern": "^[0-9]{1,18}\\.[0-9]{1,18}$"},
        }));
    }
    if has_body(route) && !body.is_empty() {
        let is_required = body.iter().any(|field| field.is_required);
        let mut schema = object(body.iter().copied());
        for field in &body {
            let property = schema.pointer_mut(&format!("/properties/{}", field.name));
            if let (Some(property), Some(default)) = (property, field.default) {
                set(property, "default", default(defaults));
            }
        }
        let content = json!({"application/json": {"schema": schema}});
        set(&mut operation, "requestBody", json!({"required": is_required, "content": content}));
    }
    set(&mut operation, "parameters", json!(parameters));
    operation
}

fn success(route: &Route, schemas: &mut SchemaGenerator) -> Value {
    let json = |schema: Value| json!({"application/json": {"schema": schema}});
    let content = match route.reply {
        Reply::Nothing => return json!({"description": "Success"}),
        Reply::NotOffered => return json!({"$ref": "#/components/responses/Error"}),
        Reply::Null => json(json!({"type": "null"})),
        Reply::Json(schema) => json(schema(schemas).to_value()),
        Reply::Text(media_type) => {
            let media_type = media_type.split(';').next().unwrap_or(media_type);
            json!({media_type: {"schema": {"type": "string"}}})
        }
        Reply::Stream(media_type, item) => {
            let item = item(schemas).to_value();
            let text = json!({"type": "string"});
            let fields = json!({"id": text, "event": text, "data": text});
            let block = json!({"type": "object", "properties": fields});
            json!({media_type: {"schema": block, "x-item-schema": item}})
        }
    };
    json!({"description": "Success", "content": content})
}

const fn has_body(route: &Route) -> bool {
    matches!(route.verb, Verb::Post | Verb::Put | Verb::Patch)
}

/// The method and the parts of the path.
fn id(route: &Route) -> String {
    let path = route.path.strip_prefix("/v1/").unwrap_or(route.path);
    let parts = path.split('/').filter(|part| !part.is_empty());
    let mut words = vec![method(route).to_owned()];
    words.extend(parts.map(|part| part.trim_matches(['{', '}']).replace('.', "_")));
    words.join("_")
}

fn tag(path: &str) -> &str {
    path.strip_prefix("/v1/").and_then(|rest| rest.split('/').next()).unwrap_or("service")
}

fn path_parameters(path: &str) -> Vec<Value> {
    let names = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let parameter = |name: &str| {
        let about = match name {
            "ident" => "UUID or name",
            "request" => "The ID of the request, as in `x-openstack-request-id`",
            _ => "Name",
        };
        json!({"name": name, "in": "path", "required": true, "description": about, "schema": {"type": "string", "minLength": 1}})
    };
    names.map(parameter).collect()
}

fn parameter(field: &Field) -> Value {
    json!({
        "name": field.name,
        "in": "query",
        "required": field.is_required,
        "schema": schema(field),
    })
}

pub(super) fn object<'a>(fields: impl IntoIterator<Item = &'a Field>) -> Value {
    let (mut properties, mut required) = (Map::new(), Vec::new());
    for field in fields {
        properties.insert(field.name.to_owned(), schema(field));
        if field.is_required {
            required.push(field.name);
        }
    }
    let mut object =
        json!({"type": "object", "properties": properties, "additionalProperties": false});
    if !required.is_empty() {
        set(&mut object, "required", json!(required));
    }
    object
}

/// Sets a member of an object.
fn set(object: &mut Value, name: &str, value: Value) {
    if let Some(object) = object.as_object_mut() {
        object.insert(name.to_owned(), value);
    }
}

fn schema(field: &Field) -> Value {
    let mut schema = of_kind(&field.kind);
    let rule = field.kind.rule();
    let about = match field.kind {
        Kind::Text(_) | Kind::Texts(_) | Kind::Unsupported { .. } | Kind::NotOffered { .. } => {
            format!("{}. It must be {rule}.", field.about)
        }
        Kind::Boolean
        | Kind::Whole { .. }
        | Kind::Limit { .. }
        | Kind::Decimal { .. }
        | Kind::Word(_)
        | Kind::Pairs { .. }
        | Kind::Object(_)
        | Kind::Custom(_) => format!("{}.", field.about),
    };
    set(&mut schema, "description", json!(about));
    if field.since != Microversion::OLDEST {
        set(&mut schema, "x-since", json!(field.since.to_string()));
    }
    if let Some(permission) = field.permission {
        set(&mut schema, "x-permission", json!(permission.policy()));
    }
    schema
}

fn of_kind(kind: &Kind) -> Value {
    match kind {
        Kind::Boolean => json!({"type": "boolean"}),
        Kind::Whole { least, most: u64::MAX, .. } => json!({"type": "integer", "minimum": least}),
        Kind::Whole { least, most, .. } => {
            json!({"type": "integer", "minimum": least, "maximum": most})
        }
        Kind::Limit { most } => json!({"type": "integer", "minimum": -1, "maximum": most}),
        Kind::Decimal { least, most } => {
            json!({"type": "number", "minimum": least, "maximum": most})
        }
        Kind::Word(words) => json!({"enum": words}),
        Kind::Text(_) => json!({"type": "string"}),
        Kind::Texts(_) => json!({"type": "array", "items": {"type": "string"}}),
        Kind::Pairs { names, values, most } => {
            let mut pairs = json!({
                "type": "object",
                "propertyNames": {"type": "string", "description": names.description},
                "additionalProperties": {"type": "string", "description": values.description},
            });
            if let Some(most) = most {
                set(&mut pairs, "maxProperties", json!(most.entries));
            }
            pairs
        }
        Kind::Object(fields) => object(*fields),
        Kind::Custom(schema) => schema(),
        Kind::Unsupported { .. } | Kind::NotOffered { .. } => json!({}),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_document_in_docs_is_up_to_date() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/openapi.json");
        let text = text(&DefaultLimits::default());
        if std::env::var_os("ZUN_WRITE_OPENAPI").is_some() {
            std::fs::write(path, &text).unwrap();
        }
        assert!(
            std::fs::read_to_string(path).unwrap_or_default() == text,
            "write docs/openapi.json anew: ZUN_WRITE_OPENAPI=1 cargo test -p zun-api openapi"
        );
    }

    #[test]
    fn every_operation_has_an_id_of_its_own() {
        let ids = routes::all().map(id).collect::<BTreeSet<_>>();
        assert_eq!(ids.len(), routes::all().count());
    }
}
