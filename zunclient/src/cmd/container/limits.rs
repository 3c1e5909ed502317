//! Parses the values of the flags that limit the resources of a container.

/// Parses a number of CPUs. Rejects `nan` and `inf`: JSON cannot represent them, so the service could not refuse
/// them.
pub(super) fn cpus(text: &str) -> Result<f64, String> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let number = if is_plain { text.parse().ok() } else { None };
    number
        .filter(|number: &f64| number.is_finite() && *number > 0.0)
        .ok_or_else(|| "use a decimal number greater than 0, such as 0.5".to_owned())
}

/// Parses an amount of memory and returns it in MiB. A number without a unit is in MiB.
pub(super) fn mebibytes(text: &str) -> Result<u64, String> {
    let rule = || "use a number of MiB, or a number with unit k, m or g".to_owned();
    let digits = text.trim_end_matches(|last: char| last.is_ascii_alphabetic());
    let number: u64 = digits.parse().map_err(|_not_a_number| rule())?;
    let unit = text.strip_prefix(digits).unwrap_or_default().to_ascii_lowercase();
    match unit.as_str() {
        "" | "m" | "mb" | "mib" => Ok(number),
        "k" | "kb" | "kib" => Ok(number.div_ceil(1024)),
        "g" | "gb" | "gib" => number.checked_mul(1024).ok_or_else(rule),
        _ => Err(rule()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpus_are_a_positive_decimal_number() {
        for (text, number) in [("1", 1.0), ("0.5", 0.5), (".25", 0.25), ("16", 16.0)] {
            assert_eq!(cpus(text), Ok(number), "{text}");
        }
        let not_numbers = ["", ".", "nan", "NaN", "inf", "-inf", "infinity", "0x10", "1_000", " 1"];
        let rejected_numbers = ["1e400", "-1", "-0", "-0.0", "0", "0.0", "+1", "1e1"];
        for bad in [&not_numbers[..], &rejected_numbers].concat() {
            let rule = cpus(bad).expect_err(bad);
            assert!(rule.contains("greater than 0"), "{rule}");
        }
        assert!(cpus(&"9".repeat(400)).is_err());
    }

    #[test]
    fn memory_may_have_a_unit() {
        for (text, expected) in
            [("512", 512), ("512m", 512), ("2g", 2048), ("8192K", 8), ("6000k", 6)]
        {
            assert_eq!(mebibytes(text), Ok(expected), "{text}");
        }
        for bad in ["", "m", "1.5g", "-1", "1t"] {
            assert!(mebibytes(bad).is_err(), "{bad}");
        }
    }
}
