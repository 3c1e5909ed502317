"""Checks the service with OpenStack's own clients: python-zunclient, and `openstack appcontainer` within this process.

    zunclient-checks.py

It reads its credentials from the OS_ variables, as `openstack` does, and fails with what differs. ZUN_TEST_ENDPOINT is the
URL of the service, ZUN_TEST_PROJECT the project of the caller, who is an administrator; ZUN_TEST_OTHER is the token of a user of another project, if there is one.
The engine has the image cirros, and the service one host, `h1`.
"""

import contextlib
import io
import json
import os
import sys
import time
import uuid

from keystoneauth1 import loading, session
from zunclient import client, exceptions

PROJECT = os.environ["ZUN_TEST_PROJECT"]
ENDPOINT = os.environ["ZUN_TEST_ENDPOINT"]
COUNT = 0


def check(what, holds):
    global COUNT
    COUNT += 1
    if not holds:
        sys.exit(f"{what}: not as expected")


def equal(what, seen, expected):
    check(f"{what}: {seen!r} instead of {expected!r}", seen == expected)


def refused(what, kind, words, call):
    """Checks that a call fails with an exception of the client, whose text has the words."""
    try:
        call()
    except kind as error:
        check(f"{what}: {words!r} in {error}", words in str(error))
    else:
        sys.exit(f"{what}: not refused")


def eventually(what, holds):
    end = time.monotonic() + 60
    while not holds():
        if time.monotonic() > end:
            sys.exit(f"{what}: not within 60 seconds")
        time.sleep(0.05)
    check(what, True)


def credentials(kind):
    """The options of the plugin that `openstack` would use."""
    if kind == "none":
        return {"endpoint": ENDPOINT}
    if kind == "admin_token":
        return {"endpoint": ENDPOINT, "token": os.environ["OS_TOKEN"]}
    names = ["auth_url", "username", "password", "project_name", "user_domain_name", "project_domain_name"]
    return {name: os.environ[f"OS_{name.upper()}"] for name in names}


def connect(kind, **options):
    auth = loading.get_plugin_loader(kind).load_from_options(**options)
    return client.Client("1.40", session=session.Session(auth=auth), endpoint_override=ENDPOINT)


def status(zun, name, wanted):
    eventually(f"{name} is {wanted}", lambda: zun.containers.get(name).status == wanted)


def containers(zun):
    made = zun.containers.create(name="made", image="cirros", command=["sleep", "600"], cpu=0.1, memory="64")
    equal("the status of a creation", made.status, "Creating")
    status(zun, "made", "Created")
    zun.containers.start("made")
    status(zun, "made", "Running")
    run = zun.containers.run(name="web", image="cirros", command=["sleep", "600"], cpu=0.1, memory="64",
                             labels={"app": "web"}, environment={"A": "1"}, interactive=True)
    status(zun, "web", "Running")
    shown = zun.containers.get(run.uuid)
    equal("labels", shown.labels, {"app": "web"})
    equal("environment", shown.environment, {"A": "1"})
    equal("memory", shown.memory, "64")
    equal("the project", shown.project_id, PROJECT)
    equal("the host, for an administrator", shown.host, "h1")
    zun.containers.pause("web")
    status(zun, "web", "Paused")
    refused("an exec in a paused one", exceptions.Conflict, "in Paused state",
            lambda: zun.containers.execute("web", command="true", run=True))
    zun.containers.unpause("web")
    status(zun, "web", "Running")
    done = zun.containers.execute("web", command="true", run=True, interactive=False)
    equal("the exit code of a command", done["exit_code"], 0)
    zun.containers.resize("web", 80, 24)
    check("processes", zun.containers.top("web")["Titles"])
    check("stats", zun.containers.stats("web")["CONTAINER"])
    equal("logs", zun.containers.logs("web", stdout=True, stderr=True), "")
    equal("new limits", zun.containers.update("web", memory="96").memory, "96")
    equal("a new name", zun.containers.update("web", name="site").name, "site")
    before = zun.containers.get("site").started_at
    zun.containers.restart("site", 1)
    eventually("a restart", lambda: zun.containers.get("site").started_at != before)
    status(zun, "site", "Running")
    zun.containers.kill("site", "SIGKILL")
    status(zun, "site", "Stopped")
    zun.containers.start("site")
    status(zun, "site", "Running")
    zun.containers.rebuild("site", image="busybox")
    eventually("a rebuild", lambda: (lambda it: (it.image, it.status))(zun.containers.get("site")) == ("busybox", "Running"))
    made = zun.containers.commit("site", "image", "new")
    check("an image of a container", "sha256:" in str(made))
    zun.containers.stop("site", 1)
    status(zun, "site", "Stopped")
    for what, call in [
        ("attach to a network", lambda: zun.containers.network_attach("site", network="x")),
        ("networks", lambda: zun.containers.network_list("site")),
    ]:
        refused(what, exceptions.HttpNotImplemented, "Neutron", call)
    history = zun.actions.list("site")
    check("actions", {"create", "rebuild", "stop"} <= {one.action for one in history})
    shown = zun.actions.get("site", history[-1].request_id)
    equal("an action", shown._info["containerAction"]["request_id"], history[-1].request_id)


def lists(zun):
    for number in range(5):
        zun.containers.create(name=f"page{number}", image="cirros", cpu=0.1, memory="16", labels={"page": str(number)})
    names = [one.name for one in zun.containers.list(sort_key="name", sort_dir="asc")]
    equal("an ordered list", names, sorted(names))
    equal("the other direction", [one.name for one in zun.containers.list(sort_key="name", sort_dir="desc")],
          names[::-1])
    paged, marker = [], None
    while page := zun.containers.list(marker=marker, limit=2, sort_key="name", sort_dir="asc"):
        paged += [one.name for one in page]
        marker = page[-1].uuid
    equal("the pages together", paged, names)
    equal("by name", [one.name for one in zun.containers.list(name="page3")], ["page3"])
    equal("by image", [one.name for one in zun.containers.list(image="busybox")], ["site"])
    equal("by status", [one.name for one in zun.containers.list(status="Running")], ["made"])
    check("by host", zun.containers.list(host="h1"))
    equal("all projects", len(zun.containers.list(all_projects=True)), len(names))
    refused("an unknown filter", exceptions.BadRequest, "colour", lambda: zun.containers.list(colour="red"))
    refused("a wrong limit", exceptions.BadRequest, "limit", lambda: zun.containers.list(limit=-1))
    refused("a wrong marker", exceptions.NotFound, "Marker", lambda: zun.containers.list(marker=str(uuid.uuid4()), limit=1))


def errors(zun):
    refused("a missing container", exceptions.NotFound, "nothing", lambda: zun.containers.get("nothing"))
    refused("a name twice", exceptions.Conflict, "already exists", lambda: zun.containers.create(name="made", image="cirros"))
    refused("a wrong value", exceptions.BadRequest, "memory", lambda: zun.containers.create(image="cirros", memory="x"))
    refused("a wrong image", exceptions.BadRequest, "image", lambda: zun.containers.create(image="a//b"))
    refused("a privileged one", exceptions.Forbidden, "container:create:privileged",
            lambda: zun.containers.create(image="cirros", privileged=True))
    refused("a running one", exceptions.Conflict, "Running", lambda: zun.containers.delete("made"))
    refused("a capsule", exceptions.HttpNotImplemented, "", lambda: zun.capsules.list())
    refused("a quota beyond", exceptions.Forbidden, "uota", lambda: beyond_quota(zun))


def beyond_quota(zun):
    zun.quotas.update(PROJECT, containers=1)
    try:
        zun.containers.create(image="cirros", cpu=0.1, memory="16")
    finally:
        zun.quotas.delete(PROJECT)


def others(zun):
    equal("hosts", [one.hostname for one in zun.hosts.list()], ["h1"])
    equal("a host", zun.hosts.get("h1").hostname, "h1")
    equal("services", [one.host for one in zun.services.list()], ["h1"])
    for change, disabled in [("disable", True), ("enable", False)]:
        getattr(zun.services, change)("h1", "zun-compute")
        equal(f"a host after {change}", zun.services.list()[0].disabled, disabled)
    equal("zones", [one.availability_zone for one in zun.availability_zones.list()], ["nova"])
    zun.quotas.update(PROJECT, containers=7)
    equal("a quota", zun.quotas.get(PROJECT).containers, 7)
    check("default quotas", zun.quotas.defaults(PROJECT).containers != 7)
    zun.quotas.delete(PROJECT)
    zun.quota_classes.update("default", containers=50)
    equal("a quota class", zun.quota_classes.get("default").containers, 50)
    pulled = zun.images.create(repo="busybox", host="h1")
    eventually("a pull", lambda: zun.images.get(pulled.uuid).status in ("Available", "Error"))
    check("images", {"busybox"} <= {one.repo for one in zun.images.list()})
    zun.images.delete(pulled.uuid)
    zun.registries.create(name="ours", domain="registry.example.org")
    equal("a registry", zun.registries.get("ours")._info["registry"]["domain"], "registry.example.org")
    equal("registries", [one.name for one in zun.registries.list()], ["ours"])
    zun.registries.update("ours", name="theirs")
    zun.registries.delete("theirs")
    refused("a deleted registry", exceptions.NotFound, "theirs", lambda: zun.registries.get("theirs"))


def end(zun):
    for one in zun.containers.list():
        zun.containers.delete(one.uuid, stop=True)
    equal("nothing is left", zun.containers.list(), [])


def shell(words):
    """Runs `openstack appcontainer` and returns its exit code and its output."""
    from openstackclient.shell import OpenStackShell
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        code = OpenStackShell().run(["appcontainer", *words])
    return code, out.getvalue()


def rows(words):
    code, text = shell([*words, "-f", "json"])
    check(f"{words}: {text}", code == 0)
    return json.loads(text[min(at for at in (text.find("["), text.find("{")) if at >= 0):])


def command_line(zun):
    equal("the list", rows(["list"]), [])
    code, text = shell(["create", "--name", "cli", "--cpu", "0.1", "--memory", "64", "cirros", "sleep", "600"])
    check(text, code == 0)
    status(zun, "cli", "Created")
    for words, after in [(["start", "cli"], "Running"), (["pause", "cli"], "Paused"), (["unpause", "cli"], "Running"),
                         (["stop", "--timeout", "1", "cli"], "Stopped")]:
        code, text = shell(words)
        check(f"{words}: {text}", code == 0 and "accepted" in text)
        status(zun, "cli", after)
    equal("its row", [(row["name"], row["status"]) for row in rows(["list"])], [("cli", "Stopped")])
    equal("it shows", rows(["show", "cli"])["image"], "cirros")
    equal("the hosts", [row["hostname"] for row in rows(["host", "list"])], ["h1"])
    check("the services", rows(["service", "list"]))
    check("the quota", rows(["quota", "default", PROJECT])["containers"])
    code, text = shell(["show", "nothing"])
    check(text, code != 0 and "nothing" in text)
    code, text = shell(["delete", "cli"])
    check(text, code == 0)
    eventually("it is gone", lambda: zun.containers.list() == [])


def strangers(zun):
    """What a user of another project gets."""
    token = os.environ.get("ZUN_TEST_OTHER")
    if not token:
        return
    zun.containers.create(name="ours", image="cirros", cpu=0.1, memory="16")
    other = connect("admin_token", endpoint=ENDPOINT, token=token)
    equal("a list of another project", other.containers.list(), [])
    refused("a container of another project", exceptions.NotFound, "ours", lambda: other.containers.get("ours"))
    refused("all projects", exceptions.Forbidden, "get_all_all_projects",
            lambda: other.containers.list(all_projects=True))
    refused("the services", exceptions.Forbidden, "zun-service:get_all", other.services.list)
    refused("a wrong token", exceptions.Unauthorized, "",
            lambda: connect("admin_token", endpoint=ENDPOINT, token="wrong").containers.list())


def main():
    kind = os.environ["OS_AUTH_TYPE"]
    zun = connect(kind, **credentials(kind))
    eventually("the host is up", lambda: [one.state for one in zun.services.list()] == ["up"])
    for step in [containers, lists, errors, others, strangers, end, command_line]:
        step(zun)
    print(f"{COUNT} checks")


main()
