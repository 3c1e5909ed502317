//! Parses image names. A parsed name is safe in a URL path, always has a tag or a digest, and has the form in which
//! Docker stores it: two names are the same image's if they are equal. So a name means the same image to Zun as to
//! Docker.

use std::fmt;
use std::str::FromStr;

/// Docker's registry, where images come from whose names have no domain.
pub const DOCKER_IO: &str = "docker.io";

/// Another name of Docker's registry, which Docker drops in the same way.
const INDEX_DOCKER_IO: &str = "index.docker.io";

/// The text is not the name of an image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "image `{0}` is not valid: write it like `name`, `name:tag`, `host:port/name:tag` or `name@sha256:…`"
)]
pub struct InvalidImageName(String);

/// The name of one image, in Docker's short form: without `docker.io/` and `docker.io/library/`.
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
    /// it has a dot, a colon or a capital letter, or is `localhost`.
    pub fn domain(&self) -> &str {
        own_domain(&self.repository).unwrap_or(DOCKER_IO)
    }

    /// Whether Docker could take it for the ID of an image, of which it needs only the first digits.
    pub fn looks_like_id(&self) -> bool {
        matches!(self.repository.as_str(), "sha256" | "sha384" | "sha512")
    }
}

/// The domain of a registry in the form of [`ImageName::domain`].
pub fn registry_domain(domain: &str) -> &str {
    if domain == INDEX_DOCKER_IO { DOCKER_IO } else { domain }
}

/// Whether the text of a name has the domain of a registry.
pub fn names_domain(text: &str) -> bool {
    own_domain(text).is_some()
}

/// The domain, if the name of the repository has one.
fn own_domain(repository: &str) -> Option<&str> {
    let (first, _) = repository.split_once('/')?;
    let is_domain = first.contains(['.', ':'])
        || first == "localhost"
        || first.bytes().any(|byte| byte.is_ascii_uppercase());
    is_domain.then_some(first)
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
    let good = tag.is_none_or(is_tag)
        && digest.is_none_or(|digest| digest.split_once(':').is_some_and(is_digest));
    let repository = short_repository(repository).filter(|_| good)?;
    Some(ImageName {
        repository: repository.to_owned(),
        version: match digest {
            Some(digest) => Version::Digest(digest.to_owned()),
            None => Version::Tag(tag.unwrap_or("latest").to_owned()),
        },
    })
}

/// Docker's short form of a repository's name.
fn short_repository(text: &str) -> Option<&str> {
    let Some(domain) = own_domain(text) else {
        return text.split('/').all(is_part).then(|| without_library(text));
    };
    let (_, path) = text.split_once('/')?;
    if !is_host(domain) || !path.split('/').all(is_part) {
        return None;
    }
    if registry_domain(domain) != DOCKER_IO {
        return Some(text);
    }
    // Docker would drop the domain, and find the image of another registry.
    own_domain(path).is_none().then(|| without_library(path))
}

fn without_library(path: &str) -> &str {
    match path.strip_prefix("library/") {
        Some(name) if !name.contains('/') => name,
        Some(_) | None => path,
    }
}

fn is_host(text: &str) -> bool {
    text.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric() || first == b'[')
        && text.bytes().all(|byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b':' | b'[' | b']')
        })
}

/// Whether the text is a part of a repository's name between slashes.
fn is_part(text: &str) -> bool {
    let is_end =
        |byte: Option<u8>| byte.is_some_and(|it| it.is_ascii_lowercase() || it.is_ascii_digit());
    is_end(text.bytes().next())
        && is_end(text.bytes().next_back())
        && text.bytes().all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'_' | b'-')
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
    fn a_name_has_the_form_in_which_docker_stores_it() {
        for (text, short) in [
            ("docker.io/busybox", "busybox:latest"),
            ("docker.io/library/busybox:1", "busybox:1"),
            ("index.docker.io/library/busybox", "busybox:latest"),
            ("library/busybox", "busybox:latest"),
            ("library/a/b", "library/a/b:latest"),
            ("index.docker.io/team/app", "team/app:latest"),
            ("registry-1.docker.io/team/app", "registry-1.docker.io/team/app:latest"),
            ("docker.io/sha256:ab", "sha256:ab"),
            ("Docker.IO/a", "Docker.IO/a:latest"),
            ("quay.io/library/app", "quay.io/library/app:latest"),
        ] {
            let name: ImageName = text.parse().expect("a good name");
            assert_eq!(name.to_string(), short, "{text}");
            let again: ImageName = short.parse().expect("a good name");
            assert_eq!(again, name, "{text}");
        }
        // Docker would run the image of the second domain.
        for bad in [
            "docker.io/zun.local/ab/priv:1",
            "index.docker.io/zun.local/ab/priv",
            "docker.io/docker.io/zun.local/ab/priv",
            "docker.io/localhost/app",
            "docker.io/a:5000/app",
        ] {
            assert!(bad.parse::<ImageName>().is_err(), "{bad}");
        }
        assert!("docker.io/sha256:ab".parse::<ImageName>().expect("good").looks_like_id());
        assert!("sha256".parse::<ImageName>().expect("good").looks_like_id());
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
        for (text, names) in
            [("cirros", false), ("a/b:c", false), ("docker.io/x", true), ("r:5000/a", true)]
        {
            assert_eq!(names_domain(text), names, "{text}");
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
            "None",
            "a/B",
            "a/b:c/d",
            "docker.io//x",
        ] {
            assert!(bad.parse::<ImageName>().is_err(), "{bad}");
        }
        assert!("a".repeat(600).parse::<ImageName>().is_err());
    }
}
