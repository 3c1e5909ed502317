//! The help texts of the real binary, and its one-line errors about a wrong command line.

use std::process::{Command, Output};

const VERBS: [&str; 47] = [
    "action",
    "attach",
    "availability-zone",
    "commit",
    "completion",
    "console",
    "cp",
    "create",
    "delete",
    "diff",
    "events",
    "exec",
    "export",
    "grants",
    "host",
    "image",
    "kill",
    "list",
    "login",
    "logout",
    "logs",
    "network",
    "pause",
    "port",
    "prune",
    "quota",
    "quota-class",
    "rebuild",
    "recording",
    "registry",
    "rename",
    "restart",
    "run",
    "service",
    "sessions",
    "share",
    "show",
    "start",
    "stats",
    "stop",
    "top",
    "unpause",
    "update",
    "version",
    "volume",
    "wait",
    "why",
];

/// Runs `zun` on a terminal of 80 columns.
fn zun(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_zun"))
        .args(arguments)
        .env_clear()
        .env("COLUMNS", "80")
        .output()
        .expect("the binary runs")
}

fn help(arguments: &[&str]) -> String {
    let shown = zun(arguments);
    assert!(shown.status.success() && shown.stderr.is_empty());
    String::from_utf8(shown.stdout).expect("UTF-8")
}

#[test]
fn the_help_of_zun_is_as_recorded() {
    insta::assert_snapshot!("zun", help(&["--help"]));
}

#[test]
fn the_help_of_every_verb_is_as_recorded() {
    for verb in VERBS {
        insta::assert_snapshot!(verb, help(&[verb, "--help"]));
    }
}

#[test]
fn the_help_of_every_verb_of_action_is_as_recorded() {
    for verb in ["list", "show"] {
        let text = help(&["action", verb, "--help"]);
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        insta::assert_snapshot!(format!("action_{verb}"), text);
    }
}

#[test]
fn the_help_of_every_verb_of_grants_is_as_recorded() {
    for verb in ["list", "revoke"] {
        let text = help(&["grants", verb, "--help"]);
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        insta::assert_snapshot!(format!("grants_{verb}"), text);
    }
}

#[test]
fn the_help_of_every_verb_of_recording_is_as_recorded() {
    for verb in ["list", "show", "play", "download", "delete"] {
        let text = help(&["recording", verb, "--help"]);
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        insta::assert_snapshot!(format!("recording_{verb}"), text);
    }
}

#[test]
fn the_help_of_every_verb_of_host_is_as_recorded() {
    for verb in ["list", "show", "recover", "replace", "clean"] {
        let text = help(&["host", verb, "--help"]);
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        insta::assert_snapshot!(format!("host_{verb}"), text);
    }
}

#[test]
fn the_help_of_every_verb_of_image_is_as_recorded() {
    for verb in ["pull", "list", "show", "search", "delete"] {
        let text = help(&["image", verb, "--help"]);
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        insta::assert_snapshot!(format!("image_{verb}"), text);
    }
}

#[test]
fn the_help_of_every_verb_of_volume_and_network_is_as_recorded() {
    for (noun, verb) in ["volume", "network"]
        .into_iter()
        .flat_map(|noun| ["create", "list", "show", "delete"].map(|verb| (noun, verb)))
    {
        let text = help(&[noun, verb, "--help"]);
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        insta::assert_snapshot!(format!("{noun}_{verb}"), text);
    }
}

#[test]
fn the_help_of_every_verb_of_registry_is_as_recorded() {
    for verb in ["create", "list", "show", "update", "delete"] {
        let text = help(&["registry", verb, "--help"]);
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        insta::assert_snapshot!(format!("registry_{verb}"), text);
    }
}

#[test]
fn the_help_of_every_verb_of_availability_zones_is_as_recorded() {
    insta::assert_snapshot!(
        "availability-zone_list",
        help(&["availability-zone", "list", "--help"])
    );
}

#[test]
fn the_help_of_every_verb_of_service_is_as_recorded() {
    for verb in ["list", "enable", "disable", "force-down", "delete"] {
        let text = help(&["service", verb, "--help"]);
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        insta::assert_snapshot!(format!("service_{verb}"), text);
    }
}

#[test]
fn the_help_of_every_verb_of_quotas_is_as_recorded() {
    let verbs = ["show", "set", "reset", "defaults"].map(|verb| ("quota", verb));
    for (noun, verb) in verbs.into_iter().chain([("quota-class", "show"), ("quota-class", "set")]) {
        let text = help(&[noun, verb, "--help"]);
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        insta::assert_snapshot!(format!("{noun}_{verb}"), text);
    }
}

#[test]
fn the_help_of_zun_lists_every_verb() {
    let text = help(&["--help"]);
    for verb in VERBS {
        assert!(text.lines().any(|line| line.starts_with(&format!("  {verb} "))), "{verb}");
    }
}

#[test]
fn every_verb_shows_an_example_and_ends_its_options_with_the_global_ones() {
    for verb in VERBS {
        let text = help(&[verb, "--help"]);
        assert!(text.contains("Examples:\n") || text.contains("Example:\n"), "{verb}");
        let headings: Vec<&str> = text
            .lines()
            .filter(|line| line.ends_with("ptions:") && !line.starts_with(' '))
            .collect();
        assert_eq!(headings.last(), Some(&"Global options:"), "{verb}");
        assert_eq!(text.matches("--os-endpoint").count(), 1, "{verb}");
    }
}

#[test]
fn no_line_of_help_is_wider_than_80_columns() {
    for arguments in std::iter::once(vec!["--help"]).chain(VERBS.map(|verb| vec![verb, "--help"])) {
        for line in help(&arguments).lines() {
            assert!(line.chars().count() <= 80, "{arguments:?}: {line}");
        }
    }
}

#[test]
fn an_alias_shows_the_help_of_its_verb() {
    for (alias, verb) in [("rm", "delete"), ("ls", "list"), ("ps", "list"), ("inspect", "show")] {
        assert_eq!(help(&[alias, "--help"]), help(&[verb, "--help"]));
    }
}

#[test]
fn a_short_v_prints_the_version_as_in_docker() {
    assert_eq!(help(&["-v"]), help(&["--version"]));
}

#[test]
fn zun_without_a_verb_prints_its_help() {
    assert_eq!(help(&[]), help(&["--help"]));
}

#[test]
fn the_script_for_bash_completes_a_command_line_without_settings() {
    let script = help(&["completion", "bash"]);
    let binary = std::path::Path::new(env!("CARGO_BIN_EXE_zun"));
    // Bash replaces only what comes after `=`.
    for (line, words) in [
        ("zun host l", "list\n"),
        ("zun list --format=j", "json\n"),
        ("zun list --filter status=pau", "paused\n"),
    ] {
        let complete = format!(
            "COMP_LINE='{line}' COMP_POINT={}; _zun 2>/dev/null; echo \"${{COMPREPLY[@]}}\"",
            line.len()
        );
        let path = format!("{}:/usr/bin:/bin", binary.parent().expect("a directory").display());
        let shown = Command::new("bash")
            .args(["--norc", "-c", &format!("{script}\n{complete}")])
            .env_clear()
            .env("PATH", path)
            .output()
            .expect("bash runs");
        assert_eq!(String::from_utf8(shown.stdout).expect("UTF-8"), words, "{line}");
    }
    for shell in ["zsh", "fish"] {
        assert!(help(&["completion", shell]).contains("zun __complete -- "), "{shell}");
    }
}

#[test]
fn zun_help_of_a_verb_is_the_help_of_that_verb() {
    assert_eq!(help(&["help"]), help(&["--help"]));
    assert_eq!(help(&["help", "run"]), help(&["run", "--help"]));
    assert_eq!(help(&["help", "host", "list"]), help(&["host", "list", "-h"]));
}

#[test]
fn a_misspelt_verb_or_option_is_answered_with_the_nearest_one() {
    for (arguments, near) in [
        (&["delte"][..], "did you mean `delete`?"),
        (&["host", "lst"], "did you mean `list`?"),
        (&["run", "--naem", "x", "cirros"], "did you mean `--name`?"),
        (&["list", "--format", "jsno"], "did you mean json?"),
        (&["image", "lsit"], "did you mean `list`?"),
    ] {
        let shown = zun(arguments);
        let message = String::from_utf8(shown.stderr).expect("UTF-8");
        assert!(message.contains(near) && message.lines().count() == 1, "{arguments:?}: {message}");
    }
}

#[test]
fn what_only_docker_has_is_answered_with_what_to_do_instead() {
    for (arguments, advice) in [
        (&["build", "."][..], "build elsewhere, and push to a registry"),
        (&["images"], "use `zun image list`"),
        (&["pull", "cirros"], "use `zun image pull`"),
        (&["rmi", "cirros"], "use `zun image delete`"),
        (&["container", "ls"], "use `zun list`"),
        (&["run", "--link", "a", "cirros"], "`zun network` find each other"),
        (&["create", "--cpuset-cpus=1", "cirros"], "use `--cpu`:"),
        (&["login", "-p", "x"], "use --password-stdin"),
        (&["commit", "-m", "a message", "web", "web:v1"], "build an image elsewhere"),
        (&["compose", "up"], "zun reads no Compose files"),
        (&["buildx", "ls"], "build elsewhere, and push to a registry"),
        (&["get", "pods"], "use `zun list`"),
        (&["describe", "web"], "use `zun show`"),
        (&["network", "connect", "back", "web"], "`zun run --network`"),
        (&["volume", "prune"], "`zun volume delete`"),
        (&["image", "push", "web:v1"], "use a registry's tools"),
        (&["rm", "--link", "web"], "`zun network` find each other"),
        (&["ps", "-s"], "use `zun exec CONTAINER du -sx /`"),
        (&["inspect", "--type", "image", "cirros"], "see `zun image show`"),
        (&["network", "create", "--driver=bridge", "back"], "networks are bridges of Docker"),
        (&["volume", "create", "--label", "a=b", "data"], "and have only a name"),
        (&["update", "--restart", "always", "web"], "only --cpu and --memory can be changed"),
    ] {
        let shown = zun(arguments);
        let message = String::from_utf8(shown.stderr).expect("UTF-8");
        assert!(message.contains(advice), "{arguments:?}: {message}");
        assert!(message.lines().count() == 1 && !message.contains("did you mean"), "{message}");
    }
    // For each verb and option that the page lists as refused, zun prints the page's advice.
    for [docker, verdict, _zun] in docker_users() {
        let option = docker.starts_with("--");
        let verb = docker.strip_prefix("docker ").unwrap_or_default();
        // `zun service` is not `docker service`.
        if verdict != "refused" || VERBS.contains(&verb) {
            continue;
        }
        let arguments = if option { vec!["run", docker.as_str(), "cirros"] } else { vec![verb] };
        let message = String::from_utf8(zun(&arguments).stderr).expect("UTF-8");
        assert!(!message.contains("did you mean"), "{docker}: {message}");
        assert!(message.matches("; ").count() >= 2, "{docker}: {message}");
    }
}

#[test]
fn help_of_help_is_that_of_zun_and_an_argument_that_is_not_utf8_is_named() {
    assert_eq!(zun(&["help", "help"]).stdout, zun(&["--help"]).stdout);
    let word = std::os::unix::ffi::OsStrExt::from_bytes(b"a\xffb");
    let arguments: [&std::ffi::OsStr; 4] = ["exec".as_ref(), "web".as_ref(), "echo".as_ref(), word];
    let refused = Command::new(env!("CARGO_BIN_EXE_zun")).args(arguments).output();
    let refused = refused.expect("zun runs");
    let message = String::from_utf8(refused.stderr).expect("UTF-8");
    let words = "zun: the argument `a\u{fffd}b` is not valid UTF-8: use UTF-8, also for names and commands;";
    assert!(message.starts_with(words), "{message}");
    assert_eq!(refused.status.code(), Some(125));
}

#[test]
fn a_wrong_number_is_answered_with_its_unit() {
    for (arguments, rule) in [
        (&["stop", "-t", "x", "web"][..], "use a whole number of seconds, such as 10"),
        (&["stop", "-t", "99999999999", "web"], "use a whole number of seconds, such as 10"),
        (&["run", "--stop-timeout", "", "cirros"], "use a whole number of seconds, such as 10"),
        (&["run", "--pids-limit", "many", "cirros"], "use a whole number, such as 10"),
        (&["list", "-n", "x"], "use a number"),
        (&["run", "-c", "-5", "cirros"], "'--cpu-shares <NUMBER>'"),
        (&["run", "--stop-timeout", "-1", "cirros"], "'--stop-timeout <SECONDS>'"),
        (&["run", "--health-retries", "-1", "cirros"], "'--health-retries <NUMBER>'"),
        (
            &["run", "-m", "4.5", "cirros"],
            "'--memory <SIZE>': use 6m to 8g; a number without a unit is in MiB",
        ),
        (&["run", "-m", "-5m", "cirros"], "'--memory <SIZE>': use 6m to 8g: a number of MiB"),
        (&["create", "-m", "9g", "cirros"], "'--memory <SIZE>': use 6m to 8g;"),
        (&["update", "-m", "1k", "web"], "'--memory <SIZE>': use 6m to 8g;"),
        (&["run", "--cpus", "0.01", "cirros"], "use a number of CPUs from 0.1 to 16"),
        (&["run", "--cpus", "-1", "cirros"], "use a number of CPUs from 0.1 to 16"),
        (&["run", "--shm-size", "0", "cirros"], "'--shm-size <SIZE>': use 1m to 8g"),
    ] {
        let message = String::from_utf8(zun(arguments).stderr).expect("UTF-8");
        assert!(message.contains(rule) && message.lines().count() == 1, "{arguments:?}: {message}");
    }
}

#[test]
fn options_that_do_not_fit_together_are_refused_before_anything_is_sent() {
    for (options, words) in [
        (&["--network", "a", "--network", "b"][..], "use --network once"),
        (&["--ip", "10.0.0.5"], "--ip and --network-alias need --network"),
        (&["--network-alias", "db", "--network", "bridge"], "need --network with a network of"),
        (&["-v", "./site:/site"], "is a path of this machine"),
    ] {
        let endpoint = ["--os-endpoint", "http://127.0.0.1:9/v1", "run"];
        let refused = zun(&[&endpoint, options, &["cirros"]].concat());
        let message = String::from_utf8_lossy(&refused.stderr);
        assert!(message.contains(words), "{options:?}: {message}");
        assert_eq!(refused.status.code(), Some(125), "{options:?}");
    }
}

#[test]
fn a_wrong_command_line_is_one_line_with_dockers_exit_code() {
    for (arguments, code) in [
        (&["run", "--bogus", "cirros"][..], 125),
        (&["run"], 1),
        (&["attach"], 1),
        (&["exec", "test"], 1),
        (&["run", "-t", "-T", "cirros"], 125),
        (&["run", "--memory", "much", "cirros"], 125),
        (&["list", "--bogus"], 125),
        (&["list", "--filter"], 125),
        (&["list", "extra"], 1),
        (&["stop"], 1),
        (&["nonsense"], 1),
    ] {
        let shown = zun(arguments);
        let message = String::from_utf8(shown.stderr).expect("UTF-8");
        assert_eq!(shown.status.code(), Some(code), "{arguments:?}: {message}");
        assert!(message.starts_with("zun: ") && message.lines().count() == 1, "{message}");
        assert!(shown.stdout.is_empty());
    }
}

#[test]
fn an_unreachable_service_is_one_line_with_exit_code_1_or_125() {
    for (verb, code) in [
        (&["run", "cirros"][..], 125),
        (&["list"], 1),
        (&["start", "-a", "x"], 1),
        (&["exec", "x", "true"], 1),
    ] {
        let shown = Command::new(env!("CARGO_BIN_EXE_zun"))
            .args(verb)
            .env_clear()
            .env("OS_ENDPOINT", "http://127.0.0.1:1/v1")
            .output()
            .expect("the binary runs");
        let message = String::from_utf8(shown.stderr).expect("UTF-8");
        assert_eq!(shown.status.code(), Some(code), "{message}");
        assert!(
            message.starts_with("zun: cannot reach the service at http://127.0.0.1:1/v1"),
            "{message}"
        );
        assert_eq!(message.lines().count(), 1, "{message}");
    }
}

#[test]
fn the_token_has_no_option_and_is_never_printed() {
    let shown = Command::new(env!("CARGO_BIN_EXE_zun"))
        .args(["--debug", "list"])
        .env_clear()
        .env("OS_ENDPOINT", "http://127.0.0.1:1/v1")
        .env("OS_TOKEN", "verysecret")
        .output()
        .expect("the binary runs");
    let message = String::from_utf8(shown.stderr).expect("UTF-8");
    assert!(!message.contains("verysecret"), "{message}");
    assert!(!help(&["--help"]).contains("--os-token"));
}

/// The rows of the tables in `docs/docker-users.md`: what docker has, the verdict, and what zun has for it.
fn docker_users() -> Vec<[String; 3]> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/docker-users.md");
    let page = std::fs::read_to_string(path).expect("the page");
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let cells: Vec<&str> = row.split('|').map(|cell| cell.trim().trim_matches('`')).collect();
        let cells: [&str; 6] = cells.try_into().expect("four cells in each row");
        let [_, docker, verdict, zun, _note, _] = cells;
        [docker.to_owned(), verdict.to_owned(), zun.to_owned()]
    })
    .collect()
}

#[test]
fn what_the_page_for_docker_users_promises_is_in_the_help() {
    for [docker, verdict, zun] in docker_users() {
        match verdict.as_str() {
            "works" | "differs" => {}
            "refused" => {
                assert_eq!(zun, "", "{docker}");
                continue;
            }
            other => panic!("{docker}: {other}"),
        }
        match zun.strip_prefix("zun ") {
            Some(option) if option.starts_with("--") => {
                assert!(help(&["--help"]).contains(option), "{docker}");
            }
            Some(command) => {
                let verb = command.split(' ').next().unwrap_or_default();
                assert!(VERBS.contains(&verb), "{docker}");
            }
            None => {
                let text = help(&["run", "--help"]);
                let shown = text.split_whitespace().any(|word| word.trim_matches(',') == zun);
                assert!(zun.starts_with("--") && shown, "{docker}: {zun}");
            }
        }
    }
}

#[test]
fn the_page_for_docker_users_has_every_verb_of_docker_and_every_option_of_its_run() {
    let docker = |arguments: &[&str]| {
        let output = Command::new("docker").args(arguments).output().expect("docker is installed");
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let help = docker(&["--help"]);
    let commands = help.lines().skip_while(|line| !line.contains("Commands:"));
    let commands = commands.take_while(|line| !line.starts_with("Global Options"));
    let commands = commands.filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next());
    // Plugins of the client are marked with a star.
    let commands = commands.filter(|name| !name.ends_with('*') && *name != "help");
    let commands = commands.map(|name| format!("docker {name}"));
    let help = docker(&["run", "--help"]);
    let options = help.split_whitespace().filter(|word| word.starts_with("--"));
    let options = options.map(|word| word.trim_end_matches(|c: char| !c.is_ascii_alphanumeric()));
    let options = options.filter(|word| word.len() > 2).map(str::to_owned);
    let page: Vec<String> = docker_users().into_iter().map(|[docker, _, _]| docker).collect();
    let missing: Vec<String> =
        commands.chain(options).filter(|name| !page.contains(name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn the_page_for_openstack_users_has_every_command_of_its_client() {
    let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs");
    let read = |name: &str| std::fs::read_to_string(format!("{docs}/{name}")).expect("a page");
    let rows = |page: &str| -> Vec<Vec<String>> {
        let rows = page.lines().filter(|line| line.starts_with("| `"));
        let cell = |cell: &str| cell.trim().trim_matches('`').to_owned();
        rows.map(|row| row.split('|').skip(1).map(cell).collect()).collect()
    };
    let page = rows(&read("openstack-users.md"));
    for row in &page {
        let [_, zun, ..] = row.as_slice() else { panic!("{row:?}") };
        if let Some(command) = zun.strip_prefix("zun ") {
            let words: Vec<&str> = command.split(' ').chain(["--help"]).collect();
            assert!(help(&words).contains("Usage: zun"), "{zun}");
        }
    }
    let commands: Vec<&str> =
        page.iter().filter_map(|row| row.first()).map(String::as_str).collect();
    let transcript = rows(&read("openstack-clients.md"));
    assert!(transcript.len() > 40, "the transcript has its table");
    for row in transcript {
        let command = row.first().map(String::as_str).unwrap_or_default();
        let known = commands.iter().any(|known| command.starts_with(known));
        assert!(known, "{command} is not in the page for OpenStack users");
    }
}

#[test]
fn each_verb_has_a_man_page() {
    let directory = tempfile::tempdir().expect("a directory");
    let written = Command::new(env!("CARGO_BIN_EXE_zun"))
        .arg("__man")
        .arg(directory.path())
        .env_clear()
        .output()
        .expect("the binary runs");
    assert!(written.status.success(), "{}", String::from_utf8_lossy(&written.stderr));
    let page = |name: String| std::fs::read_to_string(directory.path().join(name)).expect("a page");
    assert!(page("zun.1".to_owned()).contains("zun\\-run(1)"));
    for verb in VERBS {
        let text = page(format!("zun-{verb}.1"));
        // A verb without options of its own has the global ones.
        assert!(text.contains(".SH SYNOPSIS") && text.contains("OPTIONS"), "{verb}: {text}");
    }
    for (alias, verb) in [("ps", "list"), ("rm", "delete"), ("inspect", "show")] {
        assert_eq!(page(format!("zun-{alias}.1")), format!(".so man1/zun-{verb}.1\n"));
    }
    let nowhere = Command::new(env!("CARGO_BIN_EXE_zun"))
        .args(["__man", "/no/such/directory"])
        .env_clear()
        .output()
        .expect("the binary runs");
    assert_eq!(nowhere.status.code(), Some(1));
}
