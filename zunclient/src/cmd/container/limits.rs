//! Parses the values of the flags that limit the resources of a container.

use zun_common::engine_options::Ulimit;

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
    let rule =
        || "use a number of MiB, or a number with unit k, m, g or t, such as 1.5g".to_owned();
    let digits = text.trim_end_matches(|last: char| last.is_ascii_alphabetic());
    let unit = text.strip_prefix(digits).unwrap_or_default().to_ascii_lowercase();
    let kibibytes: u128 = match unit.as_str() {
        "k" | "kb" | "kib" => 1,
        "" | "m" | "mb" | "mib" => 1 << 10,
        "g" | "gb" | "gib" => 1 << 20,
        "t" | "tb" | "tib" => 1 << 30,
        _ => return Err(rule()),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(fraction) {
        return Err(rule());
    }
    let whole: u64 = whole.parse().map_err(|_too_large| rule())?;
    let total = u128::from(whole) * kibibytes + part_of(kibibytes, fraction);
    u64::try_from(total.div_ceil(1024)).map_err(|_too_large| rule())
}

/// Returns this decimal fraction of a number, rounded up. Digits after the ninth do not matter.
fn part_of(number: u128, fraction: &str) -> u128 {
    const PRECISION: usize = 9;
    let digits: String =
        fraction.chars().chain("0".repeat(PRECISION).chars()).take(PRECISION).collect();
    (digits.parse::<u128>().unwrap_or(0) * number).div_ceil(10_u128.pow(9))
}

/// Parses the sum of memory and swap in MiB; -1 is unlimited.
pub(super) fn swap(text: &str) -> Result<i64, String> {
    if text == "-1" {
        return Ok(-1);
    }
    let size = mebibytes(text).map_err(|rule| format!("{rule}, or -1"))?;
    i64::try_from(size).map_err(|_too_large| "use a smaller number".to_owned())
}

/// Parses `size=SIZE` and returns whole GiB.
pub(super) fn gibibytes(text: &str) -> Result<u64, String> {
    let rule = || "use size= and a whole number of GiB, such as size=10g".to_owned();
    let size = text.strip_prefix("size=").ok_or_else(rule)?;
    let has_unit = size.ends_with(|last: char| last.is_ascii_alphabetic());
    let mebibytes = mebibytes(size).map_err(|_rule| rule())?;
    let gibibytes = if has_unit { mebibytes / 1024 } else { mebibytes };
    let is_whole = gibibytes > 0 && (!has_unit || mebibytes % 1024 == 0);
    if is_whole { Ok(gibibytes) } else { Err(rule()) }
}

/// Parses a time in seconds: a number, or Docker's form such as `1m30s`.
pub(super) fn seconds(text: &str) -> Result<u64, String> {
    let rule = || "use a time in whole seconds, such as 30s, 1m30s or 2h".to_owned();
    if let Ok(seconds) = text.parse() {
        return Ok(seconds);
    }
    let (mut total, mut rest) = (0_u64, text);
    while !rest.is_empty() {
        let end = rest.find(|one: char| !one.is_ascii_digit()).ok_or_else(rule)?;
        let (digits, after) = rest.split_at(end);
        let number: u64 = digits.parse().map_err(|_not_a_number| rule())?;
        let (factor, after) = match after.split_at_checked(1) {
            Some(("s", after)) => (1, after),
            Some(("m", after)) => (60, after),
            Some(("h", after)) => (3600, after),
            Some(_) | None => return Err(rule()),
        };
        total = number.checked_mul(factor).and_then(|it| it.checked_add(total)).ok_or_else(rule)?;
        rest = after;
    }
    if text.is_empty() { Err(rule()) } else { Ok(total) }
}

/// Parses `NAME=SOFT[:HARD]`.
pub(super) fn ulimit(text: &str) -> Result<(String, Ulimit), String> {
    let rule = || "use NAME=SOFT[:HARD], such as nofile=1024:2048; -1 is unlimited".to_owned();
    let number = |text: &str| match text {
        "unlimited" => Ok(-1),
        text => text.parse().map_err(|_not_a_number| rule()),
    };
    let (name, limits) = text.split_once('=').ok_or_else(rule)?;
    let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
    Ok((name.to_owned(), Ulimit { soft: number(soft)?, hard: number(hard)? }))
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
        for (text, expected) in [
            ("512", 512),
            ("512m", 512),
            ("2g", 2048),
            ("8192K", 8),
            ("6000k", 6),
            ("4.5g", 4608),
            ("1t", 1 << 20),
            ("0.5", 1),
            ("1.25m", 2),
            ("0.001g", 2),
            // The service refuses it.
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(mebibytes(text), Ok(expected), "{text}");
        }
        for bad in
            ["", "m", "1.", ".5g", "1.5.1g", "-1", "1x", "99999999999999999999t", "99999999999999t"]
        {
            assert!(mebibytes(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn limits_have_dockers_forms() {
        assert_eq!((swap("-1"), swap("1g")), (Ok(-1), Ok(1024)));
        assert!(swap("-2").is_err());
        assert_eq!(
            (gibibytes("size=10g"), gibibytes("size=10"), gibibytes("size=2048m")),
            (Ok(10), Ok(10), Ok(2))
        );
        for bad in ["10g", "size=", "size=100m", "size=0"] {
            assert!(gibibytes(bad).is_err(), "{bad}");
        }
        for (text, wanted) in [("30", 30), ("30s", 30), ("1m30s", 90), ("2h", 7200), ("0s", 0)] {
            assert_eq!(seconds(text), Ok(wanted), "{text}");
        }
        for bad in ["", "s", "5x", "1m3", "-1s", "500ms"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
        let limit = |soft, hard| Ok(("nofile".to_owned(), Ulimit { soft, hard }));
        assert_eq!(ulimit("nofile=5"), limit(5, 5));
        assert_eq!(ulimit("nofile=5:-1"), limit(5, -1));
        assert!(ulimit("nofile").is_err());
        assert!(ulimit("nofile=x").is_err());
    }
}
