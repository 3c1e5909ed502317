//! Linux signals by name and number.

const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2",
    "PIPE", "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG",
    "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];

/// Returns the full name of a signal, such as `SIGTERM` for 15.
pub fn name(number: usize) -> Option<String> {
    let name = NAMES.get(number.checked_sub(1)?)?;
    Some(format!("SIG{name}"))
}

/// Returns the number of a signal. The name is in upper case, with or without `SIG`.
pub fn number(name: &str) -> Option<i32> {
    let short = name.strip_prefix("SIG").unwrap_or(name);
    let index = NAMES.iter().position(|known| *known == short)?;
    i32::try_from(index + 1).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_match_linux() {
        for (full, value) in [("SIGHUP", 1), ("SIGKILL", 9), ("SIGTERM", 15), ("SIGSYS", 31)] {
            assert_eq!(number(full), Some(value));
            assert_eq!(name(usize::try_from(value).expect("small")).as_deref(), Some(full));
        }
        assert_eq!(
            (number("TERM"), number("SIGFOO"), name(0), name(32)),
            (Some(15), None, None, None)
        );
    }
}
