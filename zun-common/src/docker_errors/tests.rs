//! Tests with real error messages of Docker 20.10 and 26.1.

use super::*;

const ID: &str = "50a2219fbdc5d53b557ab37f8595f30a01c7a3825cacbe0122cd325db6e00485";

fn shown(text: &str) -> String {
    user_message(&text.replace("ID", ID))
}

#[test]
fn the_prefixes_of_lower_layers_are_removed() {
    let prefixes =
        "OCI runtime create failed: runc create failed: unable to start container process: ";
    for before in [
        "failed to create shim task: ",
        "failed to create task for container: failed to create shim task: ",
    ] {
        for (text, reason) in [
            (
                "exec: \"/no/such\": stat /no/such: no such file or directory: unknown",
                "exec: \"/no/such\": stat /no/such: no such file or directory",
            ),
            (
                "exec: \"\": executable file not found in $PATH: unknown",
                "exec: \"\": executable file not found in $PATH",
            ),
            (
                "exec: \"/etc\": is a directory: unknown: permission denied",
                "exec: \"/etc\": is a directory: permission denied",
            ),
            (
                "error during container init: sethostname: invalid argument: unknown",
                "sethostname: invalid argument",
            ),
            (
                "unable to apply caps: operation not permitted: unknown",
                "unable to apply caps: operation not permitted",
            ),
        ] {
            assert_eq!(shown(&format!("{before}{prefixes}{text}")), reason);
        }
    }
    let old = "OCI runtime exec failed: exec failed: container_linux.go:380: starting container process caused: \
               exec: \"x\": executable file not found in $PATH: unknown\r\n";
    assert_eq!(shown(old), "exec: \"x\": executable file not found in $PATH");
    let workdir = "OCI runtime exec failed: exec failed: unable to start container process: chdir to cwd (\"/etc/passwd\") \
                  set in config.json failed: not a directory: unknown: Are you trying to mount a directory onto a file \
                  (or vice-versa)? Check if the specified host path exists and is the expected type\r\n";
    assert_eq!(
        shown(workdir),
        "chdir to cwd (\"/etc/passwd\") set in config.json failed: not a directory"
    );
}

#[test]
fn a_host_path_becomes_the_path_inside_the_container() {
    for root in [
        "/var/lib/docker/overlay2/ID/merged",
        "/srv/zun/engine/data/overlay2/ID/merged",
        "/var/lib/docker/overlay2/ID-init/merged",
        "/run/containerd/io.containerd.runtime.v2.task/moby/ID/rootfs",
        "/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots/31/fs",
        "/var/lib/docker/rootfs/overlayfs/ID",
        "/var/lib/docker/devicemapper/mnt/ID/rootfs",
        "/var/lib/docker/btrfs/subvolumes/ID",
        "/data/zfs/graph/ID",
        "/data/vfs/dir/ID",
    ] {
        let text = |path: &str| shown(&format!("lstat {root}{path}: not a directory"));
        assert_eq!(text("/etc/passwd/x"), "lstat /etc/passwd/x: not a directory", "{root}");
        assert_eq!(text("/etc/passwd/"), "lstat /etc/passwd/: not a directory", "{root}");
        assert_eq!(text(""), "lstat /: not a directory", "{root}");
        let quoted = shown(&format!("mkdir \"{root}/a\": file exists"));
        assert_eq!(quoted, "mkdir \"/a\": file exists", "{root}");
    }
}

#[test]
fn dockers_other_paths_are_shortened_to_the_last_component() {
    for (text, reason) in [
        (
            "failed to write \"100\": write /sys/fs/cgroup/cpu/docker/ID/cpu.cfs_quota_us: invalid argument: unknown",
            "failed to write \"100\": write cpu.cfs_quota_us: invalid argument",
        ),
        (
            "write /srv/data/tmp/GetImageBlob123456: no space left on device",
            "write GetImageBlob123456: no space left on device",
        ),
        (
            "mkdir /srv/data/overlay2/ID-init: no space left on device",
            "mkdir an internal Docker file: no space left on device",
        ),
        (
            "open /srv/data/containers/ID/resolv.conf: permission denied",
            "open resolv.conf: permission denied",
        ),
        (
            "open /sys/fs/cgroup/system.slice/docker-ID.scope: gone",
            "open an internal Docker file: gone",
        ),
        (
            "error mounting \"/dev/null\" to rootfs at \"/etc\": mount /dev/null:/etc (via /proc/self/fd/6), flags: 0x5000: \
             not a directory: unknown: Are you trying to mount a directory onto a file (or vice-versa)? Check it",
            "error mounting \"/dev/null\" to rootfs at \"/etc\": mount /dev/null:/etc: not a directory",
        ),
        (
            "connection error: desc = \"transport: dial unix /tmp/s/containerd.sock: connect: no such file\"",
            "connection error: desc = \"transport: dial unix: connect: no such file\"",
        ),
        (
            "error while mounting volume '/var/lib/docker/volumes/v/_data': bad",
            "error while mounting volume '/': bad",
        ),
        (
            "readlink /proc/self/fd/7: no such file or directory",
            "readlink an internal Docker file: no such file or directory",
        ),
    ] {
        assert_eq!(shown(text), reason);
    }
}

#[test]
fn the_containers_own_paths_are_kept() {
    for text in [
        "exec: \"/srv/merged/rootfs\": stat /srv/merged/rootfs: no such file or directory",
        "lstat /merged/x: not a directory",
        "chdir to cwd (\"/no/such\") set in config.json failed: no such file or directory",
        "Cannot mkdir: /etc/passwd is not a directory",
        "the working directory 'a/b' is invalid, it needs to be an absolute path",
        "cannot pull image `registry.example:5000/a/b@sha256:ID`: manifest unknown",
        "Get \"https://registry-1.docker.io/v2/\": dial tcp: lookup registry-1.docker.io: no such host",
        "uids and gids must be in range 0-2147483647",
        "Minimum memory limit allowed is 6MB",
        "exit status 1",
    ] {
        assert_eq!(shown(text), text.replace("ID", ID));
    }
}

#[test]
fn dockers_ids_are_removed() {
    for (text, reason) in [
        ("Container ID is not running", "Container is not running"),
        (
            "Container ID is paused, unpause the container before exec",
            "Container is paused, unpause the container before exec",
        ),
        (
            "Could not find the file /x in container ID",
            "Could not find the file /x in the container",
        ),
        (
            "Conflict. The container name \"/zun-1\" is already in use by container \"ID\". You have to remove it.",
            "Conflict. The container name \"/zun-1\" is already in use by container. You have to remove it.",
        ),
        ("No such exec instance: ID", "No such exec instance"),
    ] {
        assert_eq!(shown(text), reason);
    }
}

#[test]
fn a_reason_is_one_line_and_never_empty() {
    assert_eq!(shown("one\r\ntwo\n\n  three\r\n"), "one two three");
    assert_eq!(shown("{\"message\":\"Invalid signal: NOSUCH\"}\n"), "Invalid signal: NOSUCH");
    assert_eq!(shown("{\"error\":\"manifest unknown\"}"), "manifest unknown");
    assert_eq!(shown("a\x1b[31mred\x07"), "a [31mred");
    for nothing in ["", "\r\n", "{\"message\":\"\"}", "ID", ": unknown"] {
        assert_eq!(shown(nothing), NO_REASON, "{nothing:?}");
    }
    assert_eq!(shown(&"x".repeat(5000)).len(), 1000);
}

#[test]
fn exit_codes_match_dockers() {
    let start = |text| exit_code_of_start(&shown(text));
    assert_eq!(start("exec: \"x\": executable file not found in $PATH: unknown"), Some(127));
    assert_eq!(start("exec: \"/x\": stat /x: no such file or directory: unknown"), Some(127));
    assert_eq!(start("exec: \"/etc\": is a directory: unknown: permission denied"), Some(126));
    assert_eq!(start("exec: \"/loop\": stat /loop: too many levels of symbolic links"), None);
    assert_eq!(start("unable to find user nobody-such: no matching entries in passwd file"), None);
    let exec = |text| exit_code_of_exec(&shown(text));
    assert_eq!(exec("exec: \"x\": executable file not found in $PATH: unknown\r\n"), 127);
    assert_eq!(
        exec(
            "chdir to cwd (\"/no\") set in config.json failed: no such file or directory: unknown"
        ),
        126
    );
    assert_eq!(
        exec("unable to find user nobody-such: no matching entries in passwd file\r\n"),
        126
    );
}
