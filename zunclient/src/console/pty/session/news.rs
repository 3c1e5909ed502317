//! What the gate says of a session besides its output.

use serde_json::Value;
use zun_common::signal;

/// Returns what the user should know of an event, if anything.
pub(super) fn notice(event: &Value) -> Option<String> {
    match event.get("type")?.as_str()? {
        "reattached" => {
            Some("the container engine has restarted: output may be missing here".to_owned())
        }
        "signal_in_doubt" => {
            let name = event.get("name")?.as_str()?;
            signal::number(name)?;
            Some(format!("the console gate ended while it sent {name}, which may not have arrived"))
        }
        // Of a newer gate.
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn known_events_are_told_and_nothing_else() {
        let told = |event: Value| notice(&event);
        assert!(told(json!({ "type": "reattached" })).is_some());
        let signal = |name: &str| told(json!({ "type": "signal_in_doubt", "name": name }));
        assert!(signal("SIGTERM").is_some_and(|words| words.contains("SIGTERM")));
        assert_eq!((signal("\u{1b}[2J"), told(json!({ "type": "newer" }))), (None, None));
    }
}
