//! The records of a result: one for each thing that it shows. Formats select fields of records by name.

use serde_json::{Map, Value};

use super::docker_fields::docker_field;
use super::near::nearest;

/// What formats can show of one thing.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Record {
    /// The columns of the table, in its order.
    pub(super) cells: Vec<(String, String)>,
    /// The value as JSON.
    value: Value,
    /// Fields that other records of the result have.
    known: Vec<String>,
}

/// Docker's names of fields that have another one here.
const DOCKERS: [(&str, &str); 3] =
    [("names", "name"), ("runningfor", "created"), ("networks", "addresses")];

/// The same where no field of the result has Docker's name.
const DOCKERS_ELSE: [(&str, &str); 8] = [
    ("container", "name"),
    ("cpuperc", "cpu"),
    ("createdsince", "created"),
    ("id", "uuid"),
    ("memperc", "memoryshare"),
    ("memusage", "memory"),
    ("repository", "repo"),
    ("virtualsize", "size"),
];

/// Docker's name of the status in one word, which is in the JSON only.
const STATE: (&str, &str) = ("state", "status");

impl Record {
    /// A record without a table.
    #[cfg(test)]
    pub(super) fn new(value: Value) -> Self {
        Self { value, ..Self::default() }
    }

    /// Returns the records of a value: its elements if it is a list. `rows` are the cells of the table for each.
    pub(super) fn all(value: Value, mut rows: Vec<Vec<(String, String)>>) -> Vec<Self> {
        let values = match value {
            Value::Array(values) => values,
            one @ (Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Object(_)) => vec![one],
        };
        if rows.len() != values.len() {
            rows = vec![Vec::new(); values.len()];
        }
        let mut known: Vec<String> = Vec::new();
        for value in &values {
            let keys = value.as_object().into_iter().flat_map(Map::keys);
            known.extend(keys.filter(|key| !known.contains(key)).cloned().collect::<Vec<_>>());
        }
        let record = |(value, cells)| Self { cells, value, known: known.clone() };
        values.into_iter().zip(rows).map(record).collect()
    }

    /// Returns a field, or a field of a field. A field that does not exist may have another name in Docker.
    pub(super) fn field(&self, path: &[String]) -> Result<Value, String> {
        let own = self.own_field(path);
        let Some((first, rest)) = path.split_first().filter(|_| own.is_err()) else { return own };
        let wanted = normal(first);
        let Some((_, other)) = DOCKERS_ELSE.iter().find(|(dockers, _)| *dockers == wanted) else {
            return own;
        };
        let renamed = [&[(*other).to_owned()], rest].concat();
        self.own_field(&renamed).or(own)
    }

    /// Returns a field, or a field of a field. Case, `_` and spaces do not matter. A field without a value is null. Fails
    /// if there is no such field, such as a field of a text.
    fn own_field(&self, path: &[String]) -> Result<Value, String> {
        let Some((first, rest)) = path.split_first() else { return Ok(self.value.clone()) };
        if rest.is_empty() {
            return match self.column(first) {
                Some(text) => Ok(Value::String(text.to_owned())),
                None => self.json_field(first),
            };
        }
        let dockers = self.value.as_object().and_then(|own| docker_field(own, &normal(first)));
        match dockers {
            // Their fields are known: another one is a mistake.
            Some(Value::Object(fields)) => {
                let (name, deeper) =
                    rest.split_first().map_or(("", rest), |(name, deeper)| (name.as_str(), deeper));
                match find(&fields, name) {
                    Some(value) => inner(value.clone(), first, deeper),
                    None => Err(unknown(
                        &format!("{first}.{name}"),
                        name,
                        fields.keys().cloned().collect(),
                    )),
                }
            }
            Some(_) | None => inner(self.json_field(first)?, first, rest),
        }
    }

    fn column(&self, name: &str) -> Option<&str> {
        let name = dockers(&normal(name));
        let found = self.cells.iter().find(|(title, _)| normal(title) == name);
        found.map(|(_, text)| text.as_str())
    }

    fn json_field(&self, name: &str) -> Result<Value, String> {
        let wanted = normal(name);
        let wanted = if wanted == STATE.0 { STATE.1.to_owned() } else { dockers(&wanted) };
        if let Some(value) = self.value.as_object().and_then(|fields| find(fields, &wanted)) {
            return Ok(value.clone());
        }
        if self.known.iter().any(|known| normal(known) == wanted) {
            return Ok(Value::Null);
        }
        if let Some(value) = self.value.as_object().and_then(|own| docker_field(own, &wanted)) {
            return Ok(value);
        }
        let keys = self.value.as_object().into_iter().flat_map(Map::keys);
        let names = keys.chain(&self.known).chain(self.cells.iter().map(|(title, _)| title));
        Err(unknown(name, name, names.map(|name| camel(name)).collect()))
    }
}

/// Returns the message for a field that does not exist. `name` is its last part, `names` the fields that exist.
fn unknown(path: &str, name: &str, mut names: Vec<String>) -> String {
    names.sort_unstable();
    names.dedup();
    let near = nearest(&camel(name), names.iter().map(String::as_str));
    let hint = near.map_or_else(|| ".".to_owned(), |near| format!("; did you mean .{near}?"));
    let names: Vec<String> = names.iter().map(|name| format!(".{name}")).collect();
    format!("there is no field `{path}`{hint} The fields are {}", names.join(", "))
}

/// Returns a field of a field of a value, whose own name is `name`; null if an object does not have it. Fails if the value
/// is not an object.
pub(super) fn inner(mut value: Value, name: &str, path: &[String]) -> Result<Value, String> {
    let mut name = name;
    for next in path {
        value = match value {
            Value::Object(fields) => find(&fields, next).cloned().unwrap_or_default(),
            Value::Null => Value::Null,
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                let kind = if value.is_array() { "a list" } else { "a single value" };
                return Err(format!("`{name}` is {kind} and has no field `{next}`"));
            }
        };
        name = next;
    }
    Ok(value)
}

pub(super) fn find<'a>(fields: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    let same = || fields.iter().find(|(key, _)| normal(key) == normal(name));
    fields.get(name).or_else(|| same().map(|(_, value)| value))
}

fn dockers(name: &str) -> String {
    let found = DOCKERS.iter().find(|(dockers, _)| *dockers == name);
    found.map_or(name, |(_, own)| own).to_owned()
}

/// The form in which names are compared.
pub(super) fn normal(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|one| one.to_ascii_lowercase()).collect()
}

/// `created_at` is `CreatedAt`.
fn camel(name: &str) -> String {
    let words = name.split(['_', ' ', '/', '-', '%']).filter(|word| !word.is_empty());
    words
        .map(|word| {
            let mut characters = word.chars();
            let first = characters.next().map(|first| first.to_ascii_uppercase());
            first.into_iter().chain(characters).collect::<String>()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_column_comes_before_a_field_of_the_same_name() {
        let rows = vec![vec![("status".to_owned(), "Up 2 minutes".to_owned())], Vec::new()];
        let value = json!([{ "status": "Running", "host": "h1" }, { "status": "Stopped" }]);
        let records = Record::all(value, rows);
        let field = |index: usize, name: &str| records[index].field(&[name.to_owned()]);
        assert_eq!(field(0, "Status"), Ok(json!("Up 2 minutes")));
        assert_eq!(field(0, "State"), Ok(json!("Running")));
        assert_eq!((field(0, "host"), field(1, "Host")), (Ok(json!("h1")), Ok(Value::Null)));
        let unknown = field(1, "hots").expect_err("unknown");
        assert_eq!(
            unknown,
            "there is no field `hots`; did you mean .Host? The fields are .Host, .Status"
        );
    }

    #[test]
    fn names_of_docker_are_known_where_nothing_else_has_them() {
        let rows =
            vec![vec![("name".to_owned(), "web".to_owned()), ("cpu".to_owned(), "1 %".to_owned())]];
        let stats = Record::all(json!([{ "name": "web" }]), rows).remove(0);
        let field = |record: &Record, name: &str| record.field(&[name.to_owned()]);
        assert_eq!(field(&stats, "Container"), Ok(json!("web")));
        assert_eq!(field(&stats, "CPUPerc"), Ok(json!("1 %")));
        let image = Record::new(json!({ "repo": "cirros", "uuid": "5b06", "container": "own" }));
        assert_eq!(field(&image, "Repository"), Ok(json!("cirros")));
        assert_eq!(field(&image, "ID"), Ok(json!("5b06")));
        assert_eq!(field(&image, "Container"), Ok(json!("own")));
        let error = field(&image, "MemUsage").expect_err("not of images");
        assert!(error.starts_with("there is no field `MemUsage`"), "{error}");
    }

    #[test]
    fn fields_of_docker_inspect_exist_for_containers() {
        let value = json!({
            "uuid": "5bb9ee06", "image": "cirros", "status": "Running", "exit_code": 137, "health": "healthy",
            "addresses": { "bridge": [{ "addr": "172.17.0.2", "version": 4 }], "own": [] },
            "labels": { "a": "b" }, "environment": { "A": "1" }, "hostname": null,
        });
        let record = Record::new(value);
        let field =
            |path: &str| record.field(&path.split('.').map(str::to_owned).collect::<Vec<_>>());
        for (path, value) in [
            ("State", json!("Running")),
            ("State.Status", json!("running")),
            ("State.Running", json!(true)),
            ("State.ExitCode", json!(0)),
            ("State.Health.Status", json!("healthy")),
            ("Config.Image", json!("cirros")),
            ("Config.Labels.a", json!("b")),
            ("Config.Env", json!(["A=1"])),
            ("Id", json!("5bb9ee06")),
            ("NetworkSettings.IPAddress", json!("172.17.0.2")),
            ("NetworkSettings.Networks.bridge.IPAddress", json!("172.17.0.2")),
            ("NetworkSettings.Networks.own.IPAddress", json!("")),
            ("Labels.b", Value::Null),
            ("Hostname.a", Value::Null),
        ] {
            assert_eq!(field(path), Ok(value), "{path}");
        }
        for (path, words) in [
            ("State.Runing", "there is no field `State.Runing`; did you mean .Running?"),
            ("Image.Id", "`Image` is a single value and has no field `Id`"),
            ("HostConfig.Memory", "there is no field `HostConfig`"),
        ] {
            let error = field(path).expect_err(path);
            assert!(error.starts_with(words), "{error}");
        }
        let other = Record::new(json!({ "client": "0.1.0", "status": "active" }));
        let error = other.field(&["Client".to_owned(), "Version".to_owned()]).expect_err("a text");
        assert_eq!(error, "`Client` is a single value and has no field `Version`");
    }
}
