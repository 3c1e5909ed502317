//! `-v`, `--mount` and `--tmpfs`, in Docker's forms.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zun_common::api::v1::resource::MountField;

use crate::api::INSTEAD_OF_PATHS;
use crate::cmd::Failure;

/// A temporary file system: its path and its options.
type Tmpfs = (String, String);

/// What the options ask for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Mounts {
    pub(super) mounts: Vec<MountField>,
    pub(super) tmpfs: Vec<Tmpfs>,
}

/// Reads all of the options.
pub(super) fn mounts(
    volumes: &[String],
    mounts: &[String],
    tmpfs: &[String],
) -> Result<Mounts, Failure> {
    let mut all = Mounts::default();
    for text in tmpfs {
        let (path, options) = text.split_once(':').unwrap_or((text, ""));
        all.tmpfs.push((path.to_owned(), options.to_owned()));
    }
    for text in volumes {
        all.mounts.push(volume(text)?);
    }
    for text in mounts {
        match mount(text)? {
            Either::Mount(mount) => all.mounts.push(mount),
            Either::Tmpfs(tmpfs) => all.tmpfs.push(tmpfs),
        }
    }
    Ok(all)
}

/// Reads `[NAME:|PATH:]DIR[:ro|rw]`. A source with a slash at its beginning is a path of the host.
fn volume(text: &str) -> Result<MountField, Failure> {
    let wrong = || {
        Failure::new(format!(
            "cannot use --volume `{text}`: use [NAME:]DIR[:ro], such as data:/data"
        ))
    };
    let is_mode = |part: &str| matches!(part, "ro" | "rw");
    let (source, target, mode) = match text.split(':').collect::<Vec<_>>()[..] {
        [target] => (None, target, "rw"),
        [target, mode] if is_mode(mode) => (None, target, mode),
        [source, target] => (Some(source), target, "rw"),
        [source, target, mode] if is_mode(mode) => (Some(source), target, mode),
        _ => return Err(wrong()),
    };
    if !target.starts_with('/') || source.is_some_and(str::is_empty) {
        return Err(wrong());
    }
    let is_path = |source: &str| source.contains('/') || source.starts_with(['.', '~']);
    if let Some(path) = source.filter(|source| is_path(source) && !source.starts_with('/')) {
        return Err(Failure::new(format!(
            "cannot use --volume `{text}`: `{path}` is a path of this machine, and hosts do not have its files: {INSTEAD_OF_PATHS}"
        )));
    }
    let kind = if source.is_some_and(|source| source.starts_with('/')) { "host" } else { "volume" };
    Ok(MountField {
        kind: kind.to_owned(),
        source: source.map(str::to_owned),
        destination: target.to_owned(),
        read_only: mode == "ro",
    })
}

enum Either {
    Mount(MountField),
    Tmpfs(Tmpfs),
}

/// Reads `type=…,source=…,target=…`, with Docker's names. The type `file` is ours: a local file that is sent.
fn mount(text: &str) -> Result<Either, Failure> {
    let wrong = |rule: &str| Failure::new(format!("cannot use --mount `{text}`: {rule}"));
    let (mut kind, mut source, mut target) = ("volume", None, None);
    let (mut read_only, mut options) = (false, Vec::new());
    for part in text.split(',') {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        match name {
            "type" => kind = value,
            "source" | "src" => source = Some(value.to_owned()),
            "target" | "destination" | "dst" => target = Some(value.to_owned()),
            "readonly" | "ro" => match value {
                "" | "true" | "1" => read_only = true,
                "false" | "0" => read_only = false,
                _ => return Err(wrong("readonly must be true or false")),
            },
            "tmpfs-size" => options.push(format!("size={value}")),
            "tmpfs-mode" => options.push(format!("mode={value}")),
            _ => return Err(wrong(&format!("`{name}` is not known"))),
        }
    }
    let destination = target
        .filter(|target| target.starts_with('/'))
        .ok_or_else(|| wrong("target must be an absolute path"))?;
    if kind != "tmpfs" && !options.is_empty() {
        return Err(wrong("tmpfs-size and tmpfs-mode need type=tmpfs"));
    }
    let kind = match kind {
        "tmpfs" if source.is_some() => return Err(wrong("a tmpfs has no source")),
        "tmpfs" if read_only => return Err(wrong("a tmpfs cannot be read-only")),
        "tmpfs" => return Ok(Either::Tmpfs((destination, options.join(",")))),
        "volume" => "volume",
        "bind" => "host",
        "file" => {
            let path = source.ok_or_else(|| wrong("source must be a local file"))?;
            source = Some(content(Path::new(&path))?);
            "bind"
        }
        _ => return Err(wrong("type must be volume, tmpfs, bind or file")),
    };
    Ok(Either::Mount(MountField { kind: kind.to_owned(), source, destination, read_only }))
}

/// Reads a local file, as base64.
fn content(path: &Path) -> Result<String, Failure> {
    let bytes = std::fs::read(path)
        .map_err(|cause| Failure::new(format!("cannot read {}: {cause}", path.display())))?;
    Ok(STANDARD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> (String, Option<String>, String, bool) {
        let MountField { kind, source, destination, read_only } = volume(text).expect("a volume");
        (kind, source, destination, read_only)
    }

    #[test]
    fn a_volume_has_dockers_forms() {
        let named = |kind: &str, source: Option<&str>, read_only| {
            (kind.to_owned(), source.map(str::to_owned), "/data".to_owned(), read_only)
        };
        assert_eq!(one("data:/data"), named("volume", Some("data"), false));
        assert_eq!(one("data:/data:ro"), named("volume", Some("data"), true));
        assert_eq!(one("/data"), named("volume", None, false));
        assert_eq!(one("/srv/x:/data"), named("host", Some("/srv/x"), false));
        for bad in ["", "data", "data:data", ":/data", "a:/b:/c", "a:/b:rw:x"] {
            assert!(volume(bad).is_err(), "{bad}");
        }
        for path in ["./a:/t", "../a:/t", "~/a:/t", "a/b:/t", ".:/t"] {
            let message = volume(path).expect_err(path).message.unwrap_or_default();
            assert!(message.contains("is a path of this machine"), "{message}");
        }
    }

    #[test]
    fn a_mount_names_its_parts() {
        let all = ["type=volume,src=data,dst=/data,readonly", "type=tmpfs,target=/t,tmpfs-size=1m"];
        let all = mounts(&[], &all.map(str::to_owned), &["/run".to_owned()]).expect("mounts");
        assert_eq!(all.mounts, [volume("data:/data:ro").expect("a volume")]);
        let expected = [("/run", ""), ("/t", "size=1m")];
        assert_eq!(all.tmpfs, expected.map(|(path, it)| (path.to_owned(), it.to_owned())));
        for bad in [
            "type=npipe,target=/x",
            "target=x",
            "type=volume,target=/x,color=red",
            "type=volume,target=/x,readonly=maybe",
            "type=volume,target=/x,tmpfs-size=1m",
            "type=tmpfs,target=/x,readonly",
            "type=tmpfs,target=/x,source=data",
        ] {
            assert!(mount(bad).is_err(), "{bad}");
        }
    }
}
