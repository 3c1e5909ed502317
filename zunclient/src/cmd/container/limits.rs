//! Parses the values of the flags that limit the resources of a container.

use zun_common::engine_options::Ulimit;
use zun_common::units::{CONTAINER_CPUS, CONTAINER_MEMORY, CONTAINER_SHM};

/// Parses the number of CPUs of a container. Rejects `nan` and `inf`: JSON cannot represent them, so the service could not
/// refuse them.
pub(super) fn cpus(text: &str) -> Result<f64, String> {
    let (least, most) = CONTAINER_CPUS;
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let number = if is_plain { text.parse().ok() } else { None };
    number
        .filter(|number: &f64| (least..=most).contains(number))
        .ok_or_else(|| format!("use a number of CPUs from {least} to {most}, such as 0.5"))
}

/// Parses the memory of a container and returns it in MiB.
pub(super) fn memory(text: &str) -> Result<u64, String> {
    size_within(text, CONTAINER_MEMORY)
}

/// Parses the size of `/dev/shm` and returns it in MiB.
pub(super) fn shm(text: &str) -> Result<u64, String> {
    size_within(text, CONTAINER_SHM)
}

/// Parses an amount that must be from `least` to `most` MiB.
fn size_within(text: &str, (least, most): (u64, u64)) -> Result<u64, String> {
    let range = format!("use {} to {}", size_text(least), size_text(most));
    let size = mebibytes(text).map_err(|_other_rule| {
        format!("{range}: a number of MiB, or a number with unit b, k, m, g or t, such as 1.5g")
    })?;
    if (least..=most).contains(&size) {
        return Ok(size);
    }
    if text.ends_with(|last: char| last.is_ascii_alphabetic()) {
        return Err(range);
    }
    Err(format!("{range}; a number without a unit is in MiB, and {text}b is in bytes"))
}

fn size_text(mebibytes: u64) -> String {
    if mebibytes.is_multiple_of(1024) {
        format!("{}g", mebibytes / 1024)
    } else {
        format!("{mebibytes}m")
    }
}

/// Parses an amount of memory and returns it in MiB, rounded up. A number without a unit is in MiB.
fn mebibytes(text: &str) -> Result<u64, String> {
    const MIB: u128 = 1 << 20;
    let rule =
        || "use a number of MiB, or a number with unit b, k, m, g or t, such as 1.5g".to_owned();
    let digits = text.trim_end_matches(|last: char| last.is_ascii_alphabetic());
    let unit = text.strip_prefix(digits).unwrap_or_default().to_ascii_lowercase();
    let bytes: u128 = match unit.as_str() {
        "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "" | "m" | "mb" | "mib" => MIB,
        "g" | "gb" | "gib" => 1 << 30,
        "t" | "tb" | "tib" => 1 << 40,
        _ => return Err(rule()),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(fraction) {
        return Err(rule());
    }
    let whole: u64 = whole.parse().map_err(|_too_large| rule())?;
    let total = u128::from(whole) * bytes + part_of(bytes, fraction);
    u64::try_from(total.div_ceil(MIB)).map_err(|_too_large| rule())
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

/// The longest time until SIGKILL, in seconds.
const LONGEST_GRACE: u32 = 86_400;

/// Parses the time until SIGKILL in seconds. -1, which Docker has for no limit, is the longest one.
pub(super) fn grace(text: &str) -> Result<u32, String> {
    if text == "-1" {
        return Ok(LONGEST_GRACE);
    }
    let seconds = text.parse().ok().filter(|seconds| *seconds <= LONGEST_GRACE);
    let rule = || {
        format!(
            "use a whole number of seconds, such as 10, at most {LONGEST_GRACE}; -1 means the maximum"
        )
    };
    seconds.ok_or_else(rule)
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
    fn cpus_are_a_decimal_number_within_the_limits_of_containers() {
        for (text, number) in [("1", 1.0), ("0.5", 0.5), (".25", 0.25), ("16", 16.0)] {
            assert_eq!(cpus(text), Ok(number), "{text}");
        }
        let not_numbers = ["", ".", "nan", "NaN", "inf", "-inf", "infinity", "0x10", "1_000", " 1"];
        let signs = ["1e400", "-1", "-0", "-0.0", "+1", "1e1"];
        let out_of_range = ["0", "0.0", "0.09", "16.1", "17"];
        for bad in [&not_numbers[..], &signs, &out_of_range].concat() {
            let rule = cpus(bad).expect_err(bad);
            assert_eq!(rule, "use a number of CPUs from 0.1 to 16, such as 0.5");
        }
        assert!(cpus(&"9".repeat(400)).is_err());
    }

    #[test]
    fn a_size_out_of_range_is_answered_with_the_range_and_the_unit() {
        for (text, size) in [("6", 6), ("5.5", 6), ("6m", 6), ("8g", 8192), ("536870912b", 512)] {
            assert_eq!(memory(text), Ok(size), "{text}");
        }
        let unit = "; a number without a unit is in MiB, and";
        for (text, rule) in [
            ("4.5", format!("use 6m to 8g{unit} 4.5b is in bytes")),
            ("536870912", format!("use 6m to 8g{unit} 536870912b is in bytes")),
            ("1k", "use 6m to 8g".to_owned()),
            ("0.1m", "use 6m to 8g".to_owned()),
            ("9g", "use 6m to 8g".to_owned()),
            ("100t", "use 6m to 8g".to_owned()),
        ] {
            assert_eq!(memory(text), Err(rule), "{text}");
        }
        for text in ["-5", "-5m", "much", ""] {
            let rule = memory(text).expect_err(text);
            assert!(
                rule.starts_with("use 6m to 8g: a number of MiB, or a number with unit"),
                "{rule}"
            );
        }
        assert_eq!((shm("1"), shm("8g")), (Ok(1), Ok(8192)));
        assert_eq!(shm("0k"), Err("use 1m to 8g".to_owned()));
    }

    #[test]
    fn memory_may_have_a_unit() {
        for (text, expected) in [
            ("512", 512),
            ("512m", 512),
            ("2g", 2048),
            ("8192K", 8),
            ("1048577b", 2),
            ("1.5B", 1),
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
        assert_eq!((grace("0"), grace("-1")), (Ok(0), Ok(86_400)));
        for bad in ["", "x", "-2", "86401", "99999999999"] {
            assert!(grace(bad).is_err(), "{bad}");
        }
        let limit = |soft, hard| Ok(("nofile".to_owned(), Ulimit { soft, hard }));
        assert_eq!(ulimit("nofile=5"), limit(5, 5));
        assert_eq!(ulimit("nofile=5:-1"), limit(5, -1));
        assert!(ulimit("nofile").is_err());
        assert!(ulimit("nofile=x").is_err());
    }
}
