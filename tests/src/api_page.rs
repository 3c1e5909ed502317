//! Writes `docs/api.md` from `docs/openapi.json`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Map, Value};

const HEAD: &str = "\
# API

This page describes the REST API of zun-api, version 1: OpenStack Zun's API, and what this service adds to it.
[Zun's API and OpenStack Zun's](api-differences.md) lists the differences. This page is generated from
[openapi.json](openapi.json), which zun-api also serves at `/openapi.json`.

- Callers send a token in the header `X-Auth-Token`, or as `Authorization: Bearer TOKEN`.
- The microversion is in the header `OpenStack-API-Version`, such as `container 1.40`. If an operation does not exist
  in the requested version, the answer is 406. If a field is newer than the requested version, zun-api refuses it unless its
  value has no effect. Responses do not have fields that are newer than the requested version.
- The fields of a POST, PUT or PATCH may be in the body (a JSON object) or in the query.
- A request that changes a container may have the header `Idempotency-Key`: a repeat with the same key gets the first
  answer.
- Each response has the header `X-OpenStack-Request-Id`. The body of an error has a list `errors`, each with `code`,
  `status`, `title` and `request_id`.
";

/// Returns the page.
pub fn page(document: &Value) -> String {
    let mut page = HEAD.to_owned();
    let mut by_tag: BTreeMap<&str, Vec<(String, &Value)>> = BTreeMap::new();
    for (path, methods) in members(&document["paths"]) {
        for (method, operation) in members(methods) {
            let tag = operation["tags"][0].as_str().unwrap_or("service");
            let line = format!("{} {path}", method.to_uppercase());
            by_tag.entry(tag).or_default().push((line, operation));
        }
    }
    for (tag, operations) in &by_tag {
        write(&mut page, format_args!("\n## {tag}\n"));
        for (line, operation) in operations {
            write_operation(&mut page, document, (line, operation));
        }
    }
    page.push_str("\n## Objects\n");
    for (name, schema) in members(&document["components"]["schemas"]) {
        write_object(&mut page, (name, schema));
    }
    page
}

fn write(page: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    page.write_fmt(text).unwrap_or_default();
}

fn write_operation(page: &mut String, document: &Value, (line, operation): (&str, &Value)) {
    let summary = text(operation, "summary");
    write(page, format_args!("\n### `{line}`\n\n{summary}.\n\n"));
    let mut facts = Vec::new();
    if let Some(since) = operation["x-since"].as_str() {
        let until = operation["x-until"].as_str();
        facts.push(match until {
            Some(until) => format!("Versions: {since} to {until}"),
            None if since == "1.1" => "Versions: all".to_owned(),
            None => format!("Versions: {since} and newer"),
        });
    }
    let permission = operation["x-permission"].as_str();
    facts.extend(permission.map(|permission| format!("Permission: `{permission}`")));
    for (status, answer) in members(&operation["responses"]) {
        if status != "default" {
            facts.push(format!("Response: {status}{}", answer_of(answer)));
        }
    }
    for fact in facts {
        write(page, format_args!("- {fact}\n"));
    }
    let mut fields = Vec::new();
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        if parameter["in"] == "query" {
            fields.push((text(parameter, "name").to_owned(), parameter["schema"].clone()));
        }
    }
    let body = &operation["requestBody"]["content"]["application/json"]["schema"];
    for (name, schema) in members(&resolved(document, body)["properties"]) {
        fields.push((name.clone(), schema.clone()));
    }
    write_fields(page, &fields);
}

fn answer_of(answer: &Value) -> String {
    let Some((media, content)) = members(&answer["content"]).next() else { return String::new() };
    match reference(&content["schema"]) {
        Some(name) => format!(" with [`{name}`](#{})", name.to_lowercase()),
        None if media == "application/json" => String::new(),
        None if content["x-item-schema"].is_object() => {
            let item = reference(&content["x-item-schema"]).unwrap_or_default();
            format!(" with `{media}` of [`{item}`](#{})", item.to_lowercase())
        }
        None => format!(" with `{media}`"),
    }
}

fn write_object(page: &mut String, (name, schema): (&str, &Value)) {
    write(page, format_args!("\n### {name}\n\n{}\n", cell(text(schema, "description"))));
    let fields = members(&schema["properties"]).map(|(name, field)| (name.clone(), field.clone()));
    write_fields(page, &fields.collect::<Vec<_>>());
    write_values(page, schema);
}

/// Writes the values of an enumeration, or the objects that this one may be.
fn write_values(page: &mut String, schema: &Value) {
    let values: Vec<_> = schema["oneOf"].as_array().into_iter().flatten().collect();
    if !values.is_empty() {
        page.push_str("\n| value | meaning |\n|---|---|\n");
    }
    for value in values {
        let meaning = cell(text(value, "description"));
        write(page, format_args!("| `{}` | {meaning} |\n", text(value, "const")));
    }
    let objects: Vec<_> = schema["anyOf"].as_array().into_iter().flatten().map(type_of).collect();
    if !objects.is_empty() {
        write(page, format_args!("\nEither {}.\n", objects.join(" or ")));
    }
}

fn write_fields(page: &mut String, fields: &[(String, Value)]) {
    if fields.is_empty() {
        return;
    }
    page.push_str("\n| field | type | meaning |\n|---|---|---|\n");
    for (name, schema) in fields {
        let mut meaning = cell(text(schema, "description"));
        if let Some(range) = range(schema) {
            write(&mut meaning, format_args!(" {range}."));
        }
        if let Some(since) = schema["x-since"].as_str().filter(|since| *since != "1.1") {
            write(&mut meaning, format_args!(" Since version {since}."));
        }
        if let Some(permission) = schema["x-permission"].as_str() {
            write(&mut meaning, format_args!(" Permission: `{permission}`."));
        }
        write(page, format_args!("| `{name}` | {} | {} |\n", type_of(schema), meaning.trim()));
    }
}

/// Returns the limits of a number, such as `From 6 to 8192`.
fn range(schema: &Value) -> Option<String> {
    let number = |key: &str| schema[key].as_f64();
    let (low, high) = number("minimum").zip(number("maximum"))?;
    // The limits of a type, such as those of `uint16`, say nothing.
    let is_of_type = !schema["format"].is_null() || high >= f64::from(i32::MAX);
    (!is_of_type).then(|| format!("From {low} to {high}"))
}

fn type_of(schema: &Value) -> String {
    if let Some(name) = reference(schema) {
        return format!("[{name}](#{})", name.to_lowercase());
    }
    if let Some(words) = schema["enum"].as_array() {
        let words = words.iter().map(|word| format!("`{}`", word.as_str().unwrap_or("null")));
        return words.collect::<Vec<_>>().join(", ");
    }
    for key in ["anyOf", "oneOf", "allOf"] {
        if let Some(types) = schema[key].as_array() {
            return types.iter().map(type_of).collect::<Vec<_>>().join(" or ");
        }
    }
    let of_items = || format!("list of {}", type_of(&schema["items"]));
    let named = |name: &str| if name == "array" { of_items() } else { name.to_owned() };
    match &schema["type"] {
        Value::String(name) => named(name),
        Value::Array(names) => {
            let names = names.iter().filter_map(Value::as_str).map(named);
            names.collect::<Vec<_>>().join(" or ")
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => "any".to_owned(),
    }
}

fn reference(schema: &Value) -> Option<&str> {
    schema["$ref"].as_str()?.rsplit('/').next()
}

fn resolved<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    match reference(schema) {
        Some(name) => &document["components"]["schemas"][name],
        None => schema,
    }
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// Text in a cell of a table.
fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use crate::documents::root;

    #[test]
    fn the_page_of_the_api_is_up_to_date() {
        let read = |name: &str| std::fs::read_to_string(root().join(name)).unwrap_or_default();
        let document = serde_json::from_str(&read("docs/openapi.json")).expect("JSON");
        let page = super::page(&document);
        if std::env::var_os("ZUN_WRITE_OPENAPI").is_some() {
            std::fs::write(root().join("docs/api.md"), &page).expect("written");
        }
        let hint =
            "write docs/api.md anew: ZUN_WRITE_OPENAPI=1 cargo test -p zun-tests --lib api_page";
        assert!(read("docs/api.md") == page, "{hint}");
    }
}
