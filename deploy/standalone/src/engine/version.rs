//! Determines the API version of the installed engine before it runs.

use zun_common::grant::ApiVersion;

use super::error::EngineError;
use super::run::run;

/// Returns the newest API version that the installed dockerd is known to support.
pub(super) fn installed() -> Result<ApiVersion, EngineError> {
    let words = run("dockerd", &["--version"])?;
    Ok(of_engine(major(&words).unwrap_or_default()))
}

/// Parses the major version of output such as `Docker version 20.10.24+dfsg1, build 5d6db84`.
fn major(words: &str) -> Option<u32> {
    words.strip_prefix("Docker version ")?.split('.').next()?.parse().ok()
}

/// Returns the API version of an engine. Engines newer than 26 still support the version of 26.
const fn of_engine(major: u32) -> ApiVersion {
    let minor = match major {
        0..=22 => 41,
        23 => 42,
        24 => 43,
        25 => 44,
        26.. => 45,
    };
    ApiVersion { major: 1, minor }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engines_of_debian_12_and_13_are_known() {
        let of = |words| of_engine(major(words).expect("a version")).to_string();
        assert_eq!(of("Docker version 20.10.24+dfsg1, build 5d6db84\n"), "1.41");
        assert_eq!(of("Docker version 26.1.5+dfsg1, build a72d7cd\n"), "1.45");
        assert_eq!(major("dockerd 20"), None);
    }
}
