//! The field `hints`: where a container should be.

use serde_json::{Value, json};

use crate::app::InvalidField;
use crate::http::field::{Field, Kind, field, invalid_value};
use crate::http::fields::Fields;
use crate::scheduler::{Hints, Label};

const RULE: &str = "an object whose keys are `label:NAME`, `affinity:NAME` or `anti_affinity:NAME`, each with the value \
                    of a label";

/// The field.
pub(super) const HINTS: Field = field(
    "hints",
    Kind::Custom(|| json!({"type": "object", "additionalProperties": {"type": "string"}})),
    "Constraints on the host, each with the value of a label: `label:NAME` (the host has this label), \
     `affinity:NAME` (it has a container with this label) or `anti_affinity:NAME` (it has none)",
);

/// Reads the field.
pub(super) fn read(fields: &mut Fields) -> Result<Hints, InvalidField> {
    let Some(value) = fields.take("hints") else { return Ok(Hints::default()) };
    parse(&value).ok_or_else(|| invalid_value("hints", &value, RULE))
}

fn parse(value: &Value) -> Option<Hints> {
    let mut hints = Hints::default();
    for (key, value) in value.as_object()? {
        let (kind, name) = key.split_once(':').filter(|(_, name)| !name.is_empty())?;
        let label: Label = (name.to_owned(), value.as_str()?.to_owned());
        let set = match kind {
            "label" => &mut hints.labels,
            "affinity" => &mut hints.affinity,
            "anti_affinity" => &mut hints.anti_affinity,
            _ => return None,
        };
        set.insert(label);
    }
    Some(hints)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::microversion::Microversion;

    #[test]
    fn hints_name_labels_of_hosts_and_of_containers() {
        let hints = parse(&json!({"label:rack": "7", "anti_affinity:app": "web"})).expect("hints");
        assert!(hints.labels.contains(&("rack".to_owned(), "7".to_owned())));
        assert!(hints.anti_affinity.contains(&("app".to_owned(), "web".to_owned())));
        assert_eq!(parse(&json!({})), Some(Hints::default()));
        for bad in [json!([]), json!({"rack": "7"}), json!({"label:": "7"}), json!({"label:a": 7})]
        {
            let body = [("hints".to_owned(), bad)].into_iter().collect();
            let fields = Fields::new(Vec::new(), Some(body));
            let fields = fields.check(&[HINTS], (Microversion::NEWEST, None));
            let refusal = read(&mut fields.expect("in the table")).expect_err("refused");
            assert!(refusal.to_string().contains("`anti_affinity:NAME`"), "{refusal}");
        }
    }
}
