//! Tests of the scheduler.

use proptest::prelude::*;

use super::*;

const EXACT: SchedulerSettings = SchedulerSettings {
    cpu_ratio: 1.0,
    memory_ratio: 1.0,
    disk_ratio: 1.0,
    networks: 28,
    strategy: PlacementStrategy::Spread,
    image_preference: 0.1,
};
static NO_HINTS: Hints =
    Hints { labels: BTreeSet::new(), affinity: BTreeSet::new(), anti_affinity: BTreeSet::new() };

fn resources(millis: u32, mib: u64) -> Resources {
    Resources { cpus: Cpus::from_millis(millis), memory: Mebibytes(mib) }
}

fn plain(resources: Resources) -> Needs<'static> {
    Needs {
        resources,
        protocol: 0,
        runtime: None,
        zone: None,
        disk: None,
        hints: &NO_HINTS,
        may_pull: true,
    }
}

fn host(name: &str, total: Resources, claimed: Resources) -> HostView {
    HostView {
        name: name.parse().unwrap(),
        up: true,
        enabled: true,
        engine_up: true,
        total,
        claimed,
        disk: (Gibibytes(20), Gibibytes(0)),
        labels: BTreeMap::new(),
        neighbours: BTreeSet::new(),
        protocol: 3,
        zone: "nova".to_owned(),
        runtimes: vec!["runc".to_owned()],
        ports: None,
        lacks: None,
        has_image: false,
        lacks_image: false,
        networks: 0,
        has_subnet: false,
    }
}

#[test]
fn the_least_loaded_host_is_chosen() {
    let hosts = [
        host("a", resources(4000, 4096), resources(2000, 512)),
        host("b", resources(4000, 4096), resources(1000, 512)),
    ];
    assert_eq!(select_host(&plain(resources(1000, 512)), &hosts, &EXACT).unwrap().as_str(), "b");
}

#[test]
fn equally_loaded_hosts_are_selected_by_name() {
    let hosts = [
        host("b", resources(4000, 4096), resources(0, 0)),
        host("a", resources(4000, 4096), resources(0, 0)),
    ];
    assert_eq!(select_host(&plain(resources(1000, 512)), &hosts, &EXACT).unwrap().as_str(), "a");
}

#[test]
fn a_host_with_the_image_is_preferred_unless_it_is_much_more_loaded() {
    let room = resources(10_000, 10_240);
    let with_image = |claimed| HostView { has_image: true, ..host("b", room, claimed) };
    let chosen = |claimed, settings: &SchedulerSettings, may_pull| {
        let hosts = [host("a", room, resources(5000, 512)), with_image(claimed)];
        let needs = Needs { may_pull, ..plain(resources(1000, 512)) };
        select_host(&needs, &hosts, settings).unwrap().to_string()
    };
    let pack = SchedulerSettings { strategy: PlacementStrategy::Pack, ..EXACT };
    let indifferent = SchedulerSettings { image_preference: 0.0, ..EXACT };
    assert_eq!(chosen(resources(5900, 512), &EXACT, true), "b");
    assert_eq!(chosen(resources(6100, 512), &EXACT, true), "a");
    assert_eq!(chosen(resources(5900, 512), &indifferent, true), "a");
    assert_eq!(chosen(resources(4100, 512), &pack, true), "b");
    assert_eq!(chosen(resources(3900, 512), &pack, true), "a");
    // A host that must not pull the image is the last choice.
    assert_eq!(chosen(resources(9000, 512), &EXACT, false), "b");
}

#[test]
fn each_filter_gives_its_reason() {
    let room = resources(4000, 4096);
    let none = resources(0, 0);
    let hosts = [
        HostView { up: false, ..host("a", room, none) },
        HostView { enabled: false, ..host("b", room, none) },
        HostView { engine_up: false, ..host("c", room, none) },
        host("d", resources(500, 4096), none),
        host("e", room, resources(0, 4000)),
        host("f", room, resources(0, 4000)),
    ];
    let without_image = HostView { lacks_image: true, ..host("g", room, none) };
    let refusal = select_host(&plain(none), &[without_image], &EXACT).unwrap_err();
    insta::assert_snapshot!(refusal.by_host(), @"0 of 1 hosts fit: 1 without the image, which hosts may not pull (pull policy `never`). g: does not have the image, and may not pull it (pull policy `never`).");
    let refusal = select_host(&plain(resources(1000, 512)), &hosts, &EXACT).unwrap_err();
    insta::assert_snapshot!(refusal, @"0 of 6 hosts fit: 1 down, 1 disabled, 1 without a running Docker, 1 without enough free CPUs, 2 without enough free memory.");
    insta::assert_snapshot!(select_host(&plain(none), &[], &EXACT).unwrap_err(), @"No host has registered yet: start zun-compute on one.");
}

#[test]
fn who_may_see_hosts_learns_the_reason_of_each() {
    let host = |name: &str| host(name, resources(2000, 4096), resources(1000, 3500));
    let down = HostView { up: false, ..host("b") };
    let hosts = [host("host-a"), down, host("c")];
    let refusal = select_host(&plain(resources(2000, 8)), &hosts, &EXACT).unwrap_err();
    insta::assert_snapshot!(refusal.by_host(), @"0 of 3 hosts fit: 1 down, 2 without enough free CPUs. host-a: needs 2 CPUs, 1 free; b: down; c: needs 2 CPUs, 1 free.");
    let refusal = select_host(&plain(resources(500, 597)), &hosts[..1], &EXACT).unwrap_err();
    insta::assert_snapshot!(refusal.by_host(), @"0 of 1 hosts fit: 1 without enough free memory. host-a: needs 597 MiB of memory, 596 free.");
    let disk = Needs { disk: Some(Gibibytes(21)), ..plain(resources(1, 1)) };
    let refusal = select_host(&disk, &hosts[..1], &EXACT).unwrap_err();
    insta::assert_snapshot!(refusal.by_host(), @"0 of 1 hosts fit: 1 without enough free disk. host-a: needs 21 GiB of disk, 20 free.");
    let many: Vec<HostView> = (0..12).map(|number| host(&format!("h{number}"))).collect();
    let refusal = select_host(&plain(resources(2000, 8)), &many, &EXACT).unwrap_err();
    assert!(refusal.by_host().ends_with("1 free; and 2 more."), "{}", refusal.by_host());
}

#[test]
fn hints_choose_hosts_by_their_labels_and_by_the_containers_on_them() {
    let label = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let plain_host = |name| host(name, resources(4000, 4096), resources(0, 0));
    let hosts = [
        HostView { labels: BTreeMap::from([label("rack", "1")]), ..plain_host("a") },
        HostView {
            labels: BTreeMap::from([label("rack", "2")]),
            neighbours: BTreeSet::from([label("app", "web")]),
            ..plain_host("b")
        },
    ];
    let chosen = |hints: &Hints| {
        let needs = Needs { hints, ..plain(resources(1, 1)) };
        select_host(&needs, &hosts, &EXACT)
    };
    let set = |name, value| BTreeSet::from([label(name, value)]);
    let rack = Hints { labels: set("rack", "2"), ..Hints::default() };
    assert_eq!(chosen(&rack).unwrap().as_str(), "b");
    let near = Hints { affinity: set("app", "web"), ..Hints::default() };
    assert_eq!(chosen(&near).unwrap().as_str(), "b");
    let apart = Hints { anti_affinity: set("app", "web"), ..Hints::default() };
    assert_eq!(chosen(&apart).unwrap().as_str(), "a");
    let neither = Hints { labels: set("rack", "2"), ..apart };
    let refusal = chosen(&neither).unwrap_err();
    insta::assert_snapshot!(refusal, @"0 of 2 hosts fit: 1 without the requested labels, 1 with containers of the anti-affinity hints.");
    let refusal = chosen(&Hints { affinity: set("app", "db"), ..Hints::default() }).unwrap_err();
    insta::assert_snapshot!(refusal, @"0 of 2 hosts fit: 2 without the containers of the affinity hints.");
}

#[test]
fn packing_chooses_the_most_loaded_host_that_fits() {
    let pack = SchedulerSettings { strategy: PlacementStrategy::Pack, ..EXACT };
    let hosts = [
        host("a", resources(4000, 4096), resources(1000, 512)),
        host("b", resources(4000, 4096), resources(2000, 512)),
        host("c", resources(4000, 4096), resources(3500, 512)),
    ];
    let chosen = |millis| select_host(&plain(resources(millis, 8)), &hosts, &pack).unwrap();
    assert_eq!(chosen(500).as_str(), "c");
    assert_eq!(chosen(1000).as_str(), "b");
    assert_eq!(chosen(3000).as_str(), "a");
}

#[test]
fn a_host_knows_the_options_and_has_the_runtime() {
    let room = host("a", resources(4000, 4096), resources(0, 0));
    let old = HostView { protocol: 2, ..room.clone() };
    let needs = Needs { protocol: 3, ..plain(resources(1, 1)) };
    assert!(select_host(&needs, std::slice::from_ref(&room), &EXACT).is_ok());
    let refusal = select_host(&needs, &[old], &EXACT).unwrap_err();
    insta::assert_snapshot!(refusal, @"0 of 1 hosts fit: 1 with an agent too old for the requested options.");
    let needs = |runtime| Needs { runtime: Some(runtime), ..plain(resources(1, 1)) };
    assert!(select_host(&needs("runc"), std::slice::from_ref(&room), &EXACT).is_ok());
    let refusal = select_host(&needs("kata"), &[room], &EXACT).unwrap_err();
    insta::assert_snapshot!(refusal, @"0 of 1 hosts fit: 1 without the requested runtime.");
}

#[test]
fn a_requested_availability_zone_excludes_the_others() {
    let host = |name, zone: &str| HostView {
        zone: zone.to_owned(),
        ..host(name, resources(4000, 4096), resources(0, 0))
    };
    let hosts = [host("a", "nova"), host("b", "east")];
    let needs = |zone| Needs { zone: Some(zone), ..plain(resources(1, 1)) };
    assert_eq!(select_host(&needs("east"), &hosts, &EXACT).unwrap().as_str(), "b");
    let refusal = select_host(&needs("west"), &hosts, &EXACT).unwrap_err();
    insta::assert_snapshot!(refusal, @"0 of 2 hosts fit: 2 in other availability zones.");
}

#[test]
fn a_ratio_overcommits_but_one_container_cannot_exceed_the_total() {
    let ratio = SchedulerSettings { cpu_ratio: 2.0, ..EXACT };
    let full = host("a", resources(1000, 4096), resources(1000, 0));
    assert!(select_host(&plain(resources(1000, 4)), std::slice::from_ref(&full), &ratio).is_ok());
    assert!(select_host(&plain(resources(1001, 4)), &[full], &ratio).is_err());
}

#[test]
fn a_change_needs_room_only_for_what_grows() {
    // Its inventory has shrunk: it offers less memory than is claimed.
    let shrunk = host("a", resources(4000, 1024), resources(2000, 2048));
    let shrunk = HostView { enabled: false, ..shrunk };
    let change = |old, new| check_change(Some(&shrunk), (old, new), &EXACT);
    let held = resources(1000, 512);
    assert_eq!(change(held, resources(1000, 256)), Ok(()));
    assert_eq!(change(held, resources(3000, 512)), Ok(()));
    let reason = |new| change(held, new).unwrap_err().reasons.remove(0).1;
    let shortage = Shortage { needed: 3001, free: 3000 };
    assert_eq!(reason(resources(3001, 256)), FilterReason::Cpus(shortage));
    let shortage = Shortage { needed: 513, free: 0 };
    assert_eq!(reason(resources(1000, 513)), FilterReason::Memory(shortage));
    let down = HostView { up: false, ..shrunk.clone() };
    let mut refusal = check_change(Some(&down), (held, held), &EXACT).unwrap_err();
    assert_eq!(refusal.reasons.remove(0).1, FilterReason::Down);
    assert!(check_change(None, (held, held), &EXACT).is_err());
}

fn some_resources() -> impl Strategy<Value = Resources> {
    (0..20_000_u32, 0..20_000_u64).prop_map(|(millis, mib)| resources(millis, mib))
}

proptest! {
    #[test]
    fn no_host_is_overcommitted(
        totals in proptest::collection::vec(some_resources(), 0..5),
        requests in proptest::collection::vec(some_resources(), 0..40),
    ) {
        let mut hosts: Vec<HostView> = totals
            .iter()
            .enumerate()
            .map(|(number, total)| host(&format!("h{number}"), *total, resources(0, 0)))
            .collect();
        for requested in requests {
            match select_host(&plain(requested), &hosts, &EXACT) {
                Ok(name) => {
                    let chosen = hosts.iter_mut().find(|host| host.name == name).unwrap();
                    chosen.claimed.cpus =
                        Cpus::from_millis(chosen.claimed.cpus.millis() + requested.cpus.millis());
                    chosen.claimed.memory.0 += requested.memory.0;
                    prop_assert!(chosen.claimed.cpus <= chosen.total.cpus);
                    prop_assert!(chosen.claimed.memory <= chosen.total.memory);
                }
                Err(refusal) => prop_assert_eq!(refusal.reasons.len(), hosts.len()),
            }
        }
    }
}
