//! Names of images that were created from containers. Such an image exists only on the container's host, and only the
//! container's project may use it. Projects share the images of a host, so its name has a prefix of the project.

use sha2::{Digest, Sha256};

use crate::id::ProjectId;
use crate::image_name::ImageName;

/// The domain in these names. No registry has it, so nothing is pulled from there.
pub const COMMITTED_DOMAIN: &str = "zun.local";
/// Digits of the project's hash in the name of an image.
const PROJECT_DIGITS: usize = 16;

/// The prefix of the names of the project's own images.
pub fn prefix_of(project: &ProjectId) -> String {
    let hash = hex::encode(Sha256::digest(project.as_str()));
    let digits: String = hash.chars().take(PROJECT_DIGITS).collect();
    format!("{COMMITTED_DOMAIN}/{digits}/")
}

/// Whether the domain, which may have a port, is reserved for these images.
pub fn is_reserved(domain: &str) -> bool {
    let host = domain.split(':').next().unwrap_or(domain);
    host.trim_end_matches('.').eq_ignore_ascii_case(COMMITTED_DOMAIN)
}

/// Whether it is the name of an image that was created from a container.
pub fn is_committed(image: &ImageName) -> bool {
    is_reserved(image.domain())
}

/// Whether the project may use an image of this name: its own, or one that was not created from a container.
pub fn may_use(project: &ProjectId, image: &ImageName) -> bool {
    !is_committed(image) || image.repository.starts_with(&prefix_of(project))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_project_has_names_of_its_own() {
        let of = |project: &str| prefix_of(&project.parse().expect("a project"));
        assert_ne!(of("blue"), of("red"));
        assert_eq!(of("blue"), "zun.local/16477688c0e00699/");
    }

    #[test]
    fn a_project_may_use_its_own_images_and_those_of_registries() {
        let blue = "blue".parse().expect("a project");
        let may_use = |image: &str| may_use(&blue, &image.parse().expect("a good name"));
        for good in
            ["cirros", "quay.io/zun.local/x", "zun.localhost/x", "zun.local/16477688c0e00699/x"]
        {
            assert!(may_use(good), "{good}");
        }
        for bad in [
            "zun.local/0123456789abcdef/x",
            "zun.local/16477688c0e00699",
            "zun.local/x",
            "ZUN.LOCAL/16477688c0e00699/x",
            "zun.local:443/16477688c0e00699/x",
            "zun.local./16477688c0e00699/x",
        ] {
            assert!(!may_use(bad), "{bad}");
        }
    }
}
