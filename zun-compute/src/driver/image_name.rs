//! Parses image names. A parsed name is safe in a URL path, and always has a tag or a digest.

use std::fmt;
use std::str::FromStr;

use super::DriverError;

/// The name of one image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ImageName {
    /// The repository, such as `cirros` or `registry:5000/team/app`.
    pub(crate) repository: String,
    /// A tag, or a digest such as `sha256:…`.
    pub(crate) version: Version,
}

/// Which image of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Version {
    Tag(String),
    Digest(String),
}

impl Version {
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Tag(text) | Self::Digest(text) => text,
        }
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.version {
            Version::Tag(tag) => write!(out, "{}:{tag}", self.repository),
            Version::Digest(digest) => write!(out, "{}@{digest}", self.repository),
        }
    }
}

impl FromStr for ImageName {
    type Err = DriverError;

    /// Parses a name. The default tag is `latest`, and a digest overrides a tag.
    fn from_str(text: &str) -> Result<Self, DriverError> {
        parse(text).ok_or_else(|| DriverError::Invalid {
            words: format!(
                "image `{}` is not valid: write it like `name`, `name:tag`, `host:port/name:tag` or `name@sha256:…`",
                text.chars().take(80).collect::<String>()
            ),
        })
    }
}

fn parse(text: &str) -> Option<ImageName> {
    if text.len() > 512 {
        return None;
    }
    let (named, digest) = match text.split_once('@') {
        Some((named, digest)) => (named, Some(digest)),
        None => (text, None),
    };
    // A colon after the last slash begins a tag. A colon before it begins a port.
    let (repository, tag) = match named.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag)),
        Some(_) | None => (named, None),
    };
    let good = is_repository(repository)
        && tag.is_none_or(is_tag)
        && digest.is_none_or(|digest| digest.split_once(':').is_some_and(is_digest));
    good.then(|| ImageName {
        repository: repository.to_owned(),
        version: match digest {
            Some(digest) => Version::Digest(digest.to_owned()),
            None => Version::Tag(tag.unwrap_or("latest").to_owned()),
        },
    })
}

fn is_repository(text: &str) -> bool {
    text.split('/').all(|part| {
        part.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric() || first == b'[')
            && part.bytes().all(|byte| {
                byte.is_ascii_alphanumeric()
                    || matches!(byte, b'.' | b'_' | b'-' | b':' | b'[' | b']')
            })
    })
}

fn is_tag(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && !text.starts_with(['.', '-'])
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

fn is_digest((algorithm, hex): (&str, &str)) -> bool {
    !algorithm.is_empty()
        && algorithm.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && hex.len() >= 32
        && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_tag_is_latest_and_a_port_is_not_a_tag() {
        let digest = format!("sha256:{}", "ab".repeat(32));
        for (text, whole) in [
            ("cirros", "cirros:latest".to_owned()),
            ("cirros:0.6", "cirros:0.6".to_owned()),
            ("127.0.0.1:5000/team/app", "127.0.0.1:5000/team/app:latest".to_owned()),
            ("127.0.0.1:5000/team/app:v1", "127.0.0.1:5000/team/app:v1".to_owned()),
            ("[::1]:5000/app", "[::1]:5000/app:latest".to_owned()),
            (&format!("app@{digest}"), format!("app@{digest}")),
            (&format!("app:v1@{digest}"), format!("app@{digest}")),
            (&digest, digest.clone()),
        ] {
            let name: ImageName = text.parse().expect("a good name");
            assert_eq!(name.to_string(), whole);
        }
    }

    #[test]
    fn text_that_could_change_a_path_is_not_a_name() {
        for bad in [
            "",
            ":",
            "a:",
            "/a",
            "a/",
            "a//b",
            "../a",
            "a/../b",
            "a?b",
            "a#b",
            "a%2fb",
            "a b",
            "a@",
            "a@sha256:zz",
            "a\n",
            "ä",
            ".a",
            "-a",
        ] {
            let error = bad.parse::<ImageName>().expect_err(bad);
            assert!(matches!(error, DriverError::Invalid { .. }), "{bad}");
        }
        assert!("a".repeat(600).parse::<ImageName>().is_err());
    }
}
