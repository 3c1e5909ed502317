//! The fields of a request, from its query and its JSON body (merged, as in OpenStack Zun). The request's table
//! (`field.rs`) says which there are. They are checked against it, then each is taken once. Fields that remain at the
//! end are refused by name.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde_json::{Map, Value, json};

use super::field::{self, Field, Kind};
use super::microversion::Microversion;
use crate::app::{AppError, Caller, InvalidField, NotServed};
use crate::settings::DefaultLimits;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    Query,
    Body,
}

/// The fields that were not taken yet.
#[derive(Debug)]
pub(super) struct Fields {
    table: &'static [Field],
    values: BTreeMap<String, (Origin, Value)>,
    has_body: bool,
    version: Microversion,
    defaults: DefaultLimits,
}

impl Fields {
    /// Merges a query and a body. Fields of the body take precedence. JSON `null`, and Python's `None` in a query, count
    /// as absent.
    pub(super) fn new(query: Vec<(String, String)>, body: Option<Map<String, Value>>) -> Self {
        let has_body = body.as_ref().is_some_and(|body| !body.is_empty());
        let query = query.into_iter().filter(|(_, text)| text != "None");
        let query = query.map(|(name, text)| (name, (Origin::Query, Value::String(text))));
        let body = body.unwrap_or_default().into_iter().filter(|(_, value)| !value.is_null());
        let body = body.map(|(name, value)| (name, (Origin::Body, value)));
        let values = query.chain(body).collect();
        let (version, defaults) = (Microversion::NEWEST, DefaultLimits::default());
        Self { table: &[], values, has_body, version, defaults }
    }

    /// Sets the limits of a container if there are none.
    pub(super) fn with_defaults(self, defaults: DefaultLimits) -> Self {
        Self { defaults, ..self }
    }

    /// The limits of a container if there are none.
    pub(super) const fn defaults(&self) -> DefaultLimits {
        self.defaults
    }

    /// Checks the values against a table, for a caller. Without a caller, all permissions are given.
    pub(super) fn check(
        mut self,
        table: &'static [Field],
        asking: (Microversion, Option<&Caller>),
    ) -> Result<Self, AppError> {
        self.table = table;
        self.version = asking.0;
        for field in table {
            let Some((_, value)) = self.values.get(field.name) else { continue };
            if !is_kept(field, value, asking)? {
                self.values.remove(field.name);
            }
        }
        Ok(self)
    }

    /// The fields that were not taken yet, as the client has sent them, with the microversion.
    pub(super) fn as_sent(&self) -> Value {
        let fields = self.values.iter().map(|(name, (_, value))| (name.clone(), value.clone()));
        json!({"version": self.version.to_string(), "fields": fields.collect::<Map<_, _>>()})
    }

    /// The microversion of the request.
    pub(super) const fn version(&self) -> Microversion {
        self.version
    }

    /// Whether the body had any fields.
    pub(super) const fn has_body(&self) -> bool {
        self.has_body
    }

    fn field(&self, name: &str) -> Option<&'static Field> {
        let field = self.table.iter().find(|field| field.name == name);
        debug_assert!(field.is_some(), "the field {name} is not in the table of the request");
        field
    }

    /// Takes a field, whose value the table does not interpret.
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        self.field(name)?;
        self.values.remove(name).map(|(_, value)| value)
    }

    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        match self.take(name)? {
            Value::String(text) => Some(text),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::Array(_)
            | Value::Object(_) => None,
        }
    }

    /// Takes a string whose rule is that it parses as `T`.
    pub(super) fn parsed<T: FromStr>(&mut self, name: &str) -> Option<T> {
        self.text(name)?.parse().ok()
    }

    pub(super) fn boolean(&mut self, name: &str) -> Option<bool> {
        field::boolean(&self.take(name)?)
    }

    /// Takes a flag. It is off if it is absent.
    pub(super) fn flag(&mut self, name: &str) -> bool {
        self.boolean(name).unwrap_or(false)
    }

    /// Takes a whole number that fits `T` by its range.
    pub(super) fn whole<T: TryFrom<u64>>(&mut self, name: &str) -> Option<T> {
        field::whole(&self.take(name)?)?.try_into().ok()
    }

    /// Takes a limit: -1, or a positive number.
    pub(super) fn limit(&mut self, name: &str) -> Option<i64> {
        field::limit(&self.take(name)?)
    }

    pub(super) fn decimal(&mut self, name: &str) -> Option<f64> {
        field::decimal(&self.take(name)?)
    }

    /// Takes a word, as it is spelled in the table.
    pub(super) fn word(&mut self, name: &str) -> Option<&'static str> {
        let Kind::Word(words) = self.field(name)?.kind else { return None };
        field::word(words, &self.take(name)?)
    }

    pub(super) fn texts(&mut self, name: &str) -> Option<Vec<String>> {
        let Value::Array(items) = self.take(name)? else { return None };
        let texts = items.iter().filter_map(|item| item.as_str().map(str::to_owned));
        Some(texts.collect())
    }

    pub(super) fn pairs(&mut self, name: &str) -> BTreeMap<String, String> {
        let Some(Value::Object(object)) = self.take(name) else { return BTreeMap::new() };
        let pair = |(key, value): (String, Value)| Some((key, value.as_str()?.to_owned()));
        object.into_iter().filter_map(pair).collect()
    }

    /// Takes an object with fields of its own.
    pub(super) fn object(&mut self, name: &str) -> Option<Self> {
        let Kind::Object(table) = self.field(name)?.kind else { return None };
        let Value::Object(object) = self.take(name)? else { return None };
        Some(Self { table, version: self.version, ..Self::new(Vec::new(), Some(object)) })
    }

    /// Drops all fields.
    pub(super) fn clear(&mut self) {
        self.values.clear();
    }

    /// The error if a required field is absent.
    pub(super) fn missing(&self, name: &str) -> InvalidField {
        let rule = self.field(name).map(|field| field.kind.rule());
        InvalidField::missing(name, rule.unwrap_or_default())
    }

    /// Refuses the remaining fields by name.
    pub(super) fn finish(self) -> Result<(), AppError> {
        let named = |origin: Origin| {
            let of = self.values.iter().filter(move |(_, (from, _))| *from == origin);
            of.map(|(name, _)| name.chars().take(80).collect::<String>()).collect::<Vec<_>>()
        };
        let (query, body) = (named(Origin::Query), named(Origin::Body));
        if !query.is_empty() {
            return Err(AppError::UnknownParameters(query.join(",")));
        }
        if body.is_empty() { Ok(()) } else { Err(AppError::UnknownField(body.join("', '"))) }
    }
}

/// Checks a value. Returns whether the request needs it: a value without an effect is dropped if the field is newer or
/// not supported.
fn is_kept(
    field: &'static Field,
    value: &Value,
    (version, caller): (Microversion, Option<&Caller>),
) -> Result<bool, AppError> {
    let has_no_effect = field.has_no_effect(value);
    if version < field.since {
        let (field, since) = (field.name.to_owned(), field.since.to_string());
        let refusal = NotServed::Field { field, version: version.to_string(), since };
        return if has_no_effect { Ok(false) } else { Err(refusal.into()) };
    }
    check(field, value, (version, caller))?;
    if let (Some(permission), Some(caller), false) = (field.permission, caller, has_no_effect) {
        caller.require(permission)?;
    }
    Ok(!matches!(field.kind, Kind::Unsupported { .. } | Kind::NotOffered { .. }))
}

/// Checks a value, and the fields of an object. Errors name those `OBJECT.FIELD`.
fn check(
    field: &'static Field,
    value: &Value,
    asking: (Microversion, Option<&Caller>),
) -> Result<(), AppError> {
    field.kind.check(field.name, value)?;
    let (Kind::Object(table), Value::Object(object)) = (field.kind, value) else { return Ok(()) };
    let inner = Fields::new(Vec::new(), Some(object.clone()));
    let inner = inner.check(table, asking).map_err(|refusal| refusal.within(field.name))?;
    let is_unknown = |name: &&String| !table.iter().any(|field| field.name == **name);
    let unknown = inner.values.keys().filter(is_unknown);
    let unknown = unknown.map(|name| name.chars().take(80).collect()).collect::<Vec<String>>();
    if unknown.is_empty() {
        return Ok(());
    }
    Err(AppError::UnknownField(unknown.join("', '")).within(field.name))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::field::{boolean_field, field, whole_field};
    use super::*;

    const TABLE: &[Field] = &[
        boolean_field("run", ""),
        whole_field("memory", (4, 8192, ""), ""),
        field("cpu", Kind::Decimal { least: 0.1, most: 16.0 }, ""),
        field("signal", Kind::Custom(|| json!({})), ""),
        boolean_field("auto_remove", "").since(3),
        field("size", Kind::Object(&[whole_field("rows", (1, 9, ""), "")]), ""),
    ];

    fn query(pairs: &[(&str, &str)]) -> Result<Fields, AppError> {
        let owned = |(name, text): &(&str, &str)| ((*name).to_owned(), (*text).to_owned());
        Fields::new(pairs.iter().map(owned).collect(), None)
            .check(TABLE, (Microversion::NEWEST, None))
    }

    fn body_at(version: u16, value: Value) -> Result<Fields, AppError> {
        let Value::Object(object) = value else { panic!("not an object") };
        Fields::new(Vec::new(), Some(object)).check(TABLE, (Microversion::new(version), None))
    }

    fn body(value: Value) -> Result<Fields, AppError> {
        body_at(40, value)
    }

    fn refusal<T: std::fmt::Debug>(result: Result<T, AppError>) -> String {
        result.expect_err("a refusal").to_string()
    }

    #[test]
    fn booleans_are_accepted_in_every_usual_form() {
        for (text, value) in [
            ("True", true),
            ("yes", true),
            ("1", true),
            ("ON", true),
            ("False", false),
            ("no", false),
        ] {
            assert_eq!(query(&[("run", text)]).unwrap().boolean("run"), Some(value), "{text}");
        }
        assert_eq!(body(json!({"run": true})).unwrap().boolean("run"), Some(true));
        assert!(query(&[("run", "maybe")]).is_err());
        assert_eq!(query(&[("run", "None")]).unwrap().boolean("run"), None);
    }

    #[test]
    fn numbers_are_accepted_as_text_and_checked_against_their_range() {
        assert_eq!(body(json!({"memory": "512"})).unwrap().whole("memory"), Some(512_u64));
        for bad in [json!("+5"), json!(5.5), json!(-5), json!(3), json!(true), json!("")] {
            assert!(body(json!({"memory": bad})).is_err());
        }
        assert_eq!(body(json!({"cpu": "0.5"})).unwrap().decimal("cpu"), Some(0.5));
        for bad in [json!("1e1"), json!("inf"), json!(0.01), json!("."), json!([1])] {
            assert!(body(json!({"cpu": bad})).is_err());
        }
    }

    #[test]
    fn remaining_fields_are_refused_by_name() {
        let unknown = query(&[("foo", "1"), ("bar", "2")]).unwrap();
        assert_eq!(refusal(unknown.finish()), "Unknown parameters: bar,foo");
        assert_eq!(
            refusal(body(json!({"foo": 1})).unwrap().finish()),
            "Additional properties are not allowed ('foo' was unexpected)"
        );
        assert_eq!(
            refusal(body(json!({"size": {"foo": 1}}))),
            "Additional properties are not allowed ('size.foo' was unexpected)"
        );
    }

    #[test]
    fn the_body_takes_precedence_over_the_query() {
        let Value::Object(object) = json!({"signal": "HUP"}) else { panic!("not an object") };
        let fields = Fields::new(vec![("signal".to_owned(), "TERM".to_owned())], Some(object));
        let mut fields = fields.check(TABLE, (Microversion::NEWEST, None)).unwrap();
        assert_eq!(fields.take("signal"), Some(json!("HUP")));
    }

    #[test]
    fn an_error_names_field_value_and_rule_and_truncates_the_value() {
        let long = "x".repeat(200);
        assert_eq!(
            refusal(body(json!({"cpu": long}))),
            format!(
                "Invalid input for field 'cpu'. Value: '{}'. It must be a number from 0.1 to 16.",
                "x".repeat(80)
            )
        );
        let inner = refusal(body(json!({"size": {"rows": 0}})));
        assert!(inner.starts_with("Invalid input for field 'size.rows'. Value: '0'."), "{inner}");
    }

    #[test]
    fn a_newer_field_is_refused_unless_it_has_no_effect() {
        assert_eq!(
            refusal(body_at(2, json!({"auto_remove": true}))),
            "Invalid param auto_remove because current request version is 1.2. auto_remove is only \
             supported from version 1.3"
        );
        let mut fields = body_at(2, json!({"auto_remove": false})).unwrap();
        assert_eq!(fields.boolean("auto_remove"), None);
        fields.finish().unwrap();
        assert!(body_at(3, json!({"auto_remove": true})).unwrap().flag("auto_remove"));
    }
}
