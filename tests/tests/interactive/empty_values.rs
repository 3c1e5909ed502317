//! Empty option values, which mean the same as in docker, and limits that are not valid numbers.

use zun_tests::zun_cli::ZunCli;

#[test]
fn an_empty_entry_point_runs_the_command_alone() {
    let zun = ZunCli::shared();
    let name = zun.name("no-entry-point");
    let run = ["run", "--name", name.as_str(), "--entrypoint", "", "cirros", "echo", "foo"];
    let finished = zun.run(&run);
    assert_eq!((finished.code, finished.stdout.as_str()), (0, "foo\n"), "{finished:?}");
    assert_eq!(zun.field(name.as_str(), "entrypoint"), serde_json::json!([]));
}

#[test]
fn an_empty_value_has_the_same_effect_as_leaving_the_flag_out() {
    let zun = ZunCli::shared();
    let flags = [
        "--hostname=",
        "--user=",
        "--workdir=",
        "--name=",
        "--stop-signal=",
        "--restart=",
        "--pull=",
    ];
    let finished =
        zun.run(&[&["run", "--rm"], &flags[..], &["-e", "A=", "cirros", "env"]].concat());
    assert_eq!(finished.code, 0, "{finished:?}");
    assert!(finished.stdout.lines().any(|line| line == "A="), "{finished:?}");
}

#[test]
fn an_empty_container_name_is_refused() {
    let zun = ZunCli::shared();
    for verb in ["show", "delete", "stop", "start", "kill", "logs", "wait", "attach", "restart"] {
        let finished = zun.run(&[verb, ""]);
        assert!([1, 125].contains(&finished.code), "{verb}: {finished:?}");
        assert_eq!(finished.stderr, "zun: `` is not a valid name or ID\n", "{verb}");
    }
}

#[test]
fn a_limit_that_is_not_a_valid_number_is_refused() {
    let zun = ZunCli::shared();
    for cpu in ["nan", "inf", "-inf", "1e400", "-1", "-0.0", "0", "0x10", "1_000", " 1", ""] {
        let cpu = format!("--cpu={cpu}");
        for verb in [&["run", "--rm"][..], &["create"], &["update"]] {
            let finished = zun.run(&[verb, &[&cpu, "cirros"]].concat());
            assert_eq!(finished.code, 125, "{verb:?} {cpu}: {finished:?}");
            assert!(
                finished.stderr.contains("use a number of CPUs from 0.1 to 16"),
                "{finished:?}"
            );
        }
    }
    for (flag, rule) in [
        ("--cpu=0.0000001", "use a number of CPUs from 0.1 to 16"),
        ("--memory=5", "use 6m to 8g"),
        ("--memory=99999999999g", "use 6m to 8g"),
        ("--memory=18446744073709551615", "use 6m to 8g"),
    ] {
        let finished = zun.run(&["run", "--rm", flag, "cirros", "true"]);
        assert_eq!(finished.code, 125, "{flag}: {finished:?}");
        assert!(finished.stderr.contains(rule), "{flag}: {finished:?}");
    }
}
