//! Derives a valid host name from the machine's name.

use zun_common::id::HostName;

/// The host name if the machine's name cannot be used.
const FALLBACK: &str = "standalone";

/// Returns the host name of this machine.
pub fn this_host() -> HostName {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    normalised(name.trim())
}

/// Converts to lower case, replaces invalid characters with hyphens, and removes hyphens at the ends of labels.
fn normalised(name: &str) -> HostName {
    let allowed = |letter: char| match letter {
        'a'..='z' | '0'..='9' => letter,
        _ => '-',
    };
    let labels: Vec<String> = name
        .to_ascii_lowercase()
        .split('.')
        .map(|label| label.chars().map(allowed).collect::<String>())
        .map(|label| label.trim_matches('-').to_owned())
        .filter(|label| !label.is_empty())
        .collect();
    match labels.join(".").parse() {
        Ok(name) => name,
        Err(_unusable) => FALLBACK.parse().expect("one plain label"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_machine_has_a_usable_name() {
        for (name, expected) in [
            ("vm", "vm"),
            ("My_Laptop.Example.ORG", "my-laptop.example.org"),
            ("-edge-", "edge"),
            ("a..b.", "a.b"),
            ("", "standalone"),
            ("___", "standalone"),
            ("ü", "standalone"),
        ] {
            assert_eq!(normalised(name).as_str(), expected, "{name}");
        }
        let long = "a".repeat(64);
        assert_eq!(normalised(&long).as_str(), "standalone");
    }
}
