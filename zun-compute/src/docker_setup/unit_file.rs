//! Parses systemd unit files: the keys of a section, and the words of a value.

/// Returns the values of a key in the section `[Service]`, in order.
pub(super) fn values(files: &[String], key: &str) -> Vec<String> {
    let mut found = Vec::new();
    for file in files {
        let mut service = false;
        for line in joined(file) {
            let line = line.trim();
            if line.starts_with('[') {
                service = line == "[Service]";
            } else if let Some((name, value)) = line.split_once('=')
                && service
                && name.trim_end() == key
            {
                found.push(value.trim().to_owned());
            }
        }
    }
    found
}

/// Returns the lines without comments. Lines that end in a backslash are joined with the next one.
fn joined(file: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut open = String::new();
    for line in file.lines() {
        if line.trim_start().starts_with(['#', ';']) {
            continue;
        }
        match line.strip_suffix('\\') {
            Some(begun) => {
                open.push_str(begun);
                open.push(' ');
            }
            None => lines.push(std::mem::take(&mut open) + line),
        }
    }
    lines.push(open);
    lines
}

/// Splits a value into words. Quotes keep words together, and a backslash escapes the next character.
pub(super) fn words(value: &str) -> Vec<String> {
    let mut found = Vec::new();
    let (mut word, mut begun, mut quote) = (String::new(), false, None);
    let mut letters = value.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => word.extend(letters.next()),
            '"' | '\'' if quote == Some(letter) => quote = None,
            '"' | '\'' if quote.is_none() => quote = Some(letter),
            blank if blank.is_whitespace() && quote.is_none() => {
                if std::mem::take(&mut begun) {
                    found.push(std::mem::take(&mut word));
                }
                continue;
            }
            other => word.push(other),
        }
        begun = true;
    }
    if begun {
        found.push(word);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_keep_a_word_together() {
        assert_eq!(words(r#"A=1 "B=2 3"  'C="'  D=\"x "#), ["A=1", "B=2 3", "C=\"", "D=\"x"]);
        assert_eq!(words("  "), Vec::<String>::new());
    }
}
