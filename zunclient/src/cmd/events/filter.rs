//! The filters of `zun events`.

use std::str::FromStr;

const KEYS: [&str; 6] = ["container", "event", "type", "host", "label", "image"];

/// One `--filter`. The service knows what it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Filter {
    pub(super) key: String,
    pub(super) value: String,
}

impl FromStr for Filter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (key, value) = text.split_once('=').unwrap_or((text, ""));
        if !KEYS.contains(&key) || value.is_empty() {
            return Err(format!("use KEY=VALUE with one of the keys {}", KEYS.join(", ")));
        }
        Ok(Self { key: key.to_owned(), value: value.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_a_known_key_and_a_value() {
        let label: Filter = "label=a=b".parse().expect("a filter");
        assert_eq!((label.key.as_str(), label.value.as_str()), ("label", "a=b"));
        for bad in ["", "event", "event=", "daemon=d"] {
            let rule = bad.parse::<Filter>().expect_err(bad);
            assert!(rule.contains("container, event, type"), "{rule}");
        }
    }
}
