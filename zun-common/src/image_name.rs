//! Parses image names. A parsed name is safe in a URL path, and always has a tag or a digest.

use std::fmt;
use std::str::FromStr;

/// Docker's registry, where images come from whose names have no domain.
pub const DOCKER_IO: &str = "docker.io";

/// The text is not the name of an image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "image `{0}` is not valid: write it like `name`, `name:tag`, `host:port/name:tag` or `name@sha256:…`"
)]
pub struct InvalidImageName(String);

/// The name of one image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageName {
    /// The repository, such as `cirros` or `registry:5000/team/app`.
    pub repository: String,
    /// A tag, or a digest such as `sha256:…`.
    pub version: Version,
}

/// Which image of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Version {
    /// A tag, such as `latest`.
    Tag(String),
    /// A digest, such as `sha256:…`.
    Digest(String),
}

impl ImageName {
    /// The domain of its registry, and its port if it has one. As in Docker, the first part of the name is a domain if
    /// it has a dot or a colon, or is `localhost`.
    pub fn domain(&self) -> &str {
        self.own_domain().unwrap_or(DOCKER_IO)
    }

    /// The domain, if the name has one.
    fn own_domain(&self) -> Option<&str> {
        let (first, _) = self.repository.split_once('/')?;
        (first.contains(['.', ':']) || first == "localhost").then_some(first)
    }

    /// The same image in a registry, if the name has no domain of its own.
    #[must_use]
    pub fn in_registry(self, domain: &str) -> Self {
        if self.own_domain().is_some() || domain == DOCKER_IO {
            return self;
        }
        Self { repository: format!("{domain}/{}", self.repository), ..self }
    }
}

impl Version {
    /// The tag or the digest.
    pub fn as_str(&self) -> &str {
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
    type Err = InvalidImageName;

    /// Parses a name. The default tag is `latest`, and a digest overrides a tag.
    fn from_str(text: &str) -> Result<Self, InvalidImageName> {
        parse(text).ok_or_else(|| InvalidImageName(text.chars().take(80).collect()))
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
    fn the_domain_is_dockers_unless_the_first_part_of_the_name_is_one() {
        for (text, domain) in [
            ("cirros", DOCKER_IO),
            ("team/app:v1", DOCKER_IO),
            ("docker.io/library/busybox", DOCKER_IO),
            ("localhost/app", "localhost"),
            ("127.0.0.1:5000/team/app", "127.0.0.1:5000"),
            ("registry.example.org/app", "registry.example.org"),
        ] {
            assert_eq!(text.parse::<ImageName>().expect("a good name").domain(), domain);
        }
        let moved = |text: &str| text.parse::<ImageName>().expect("good").in_registry("r:5000");
        assert_eq!(moved("team/app:v1").to_string(), "r:5000/team/app:v1");
        assert_eq!(moved("other:1/app").to_string(), "other:1/app:latest");
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
            assert!(bad.parse::<ImageName>().is_err(), "{bad}");
        }
        assert!("a".repeat(600).parse::<ImageName>().is_err());
    }
}
