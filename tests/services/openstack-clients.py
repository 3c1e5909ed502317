"""Runs every verb of `openstack appcontainer` against a running service, and prints docs/openstack-clients.md.

    openstack-clients.py ENVIRONMENT

ENVIRONMENT is the file that `zun-standalone up` writes. The program `openstack` is the one in ZUN_TEST_OPENSTACK. It prints
what the client printed, with identifiers and times replaced, and fails if the client has a verb that is not in the table.
"""

import os
import pty
import re
import select
import subprocess
import sys
import tempfile
import time
from importlib.metadata import entry_points, version

HELD = ["sleep", "600"]
# What each step does: its words, after `openstack appcontainer`. `HOST`, `REQUEST`, `IMAGE` and `FILE` are replaced.
STEPS = [
    ["availability", "zone", "list"],
    ["host", "list"],
    ["host", "show", "HOST"],
    ["service", "list"],
    ["service", "disable", "--reason", "new disk", "HOST", "zun-compute"],
    ["service", "enable", "HOST", "zun-compute"],
    ["service", "forcedown", "HOST", "zun-compute"],
    ["service", "forcedown", "--unset", "HOST", "zun-compute"],
    ["service", "delete", "HOST", "zun-compute"],
    ["quota", "default", "web"],
    ["quota", "update", "--containers", "7", "--memory", "2048", "web"],
    ["quota", "get", "--usages", "web"],
    ["quota", "delete", "web"],
    ["quota", "class", "update", "--containers", "50", "default"],
    ["quota", "class", "get", "default"],
    ["create", "--name", "made", "--cpu", "0.1", "--memory", "64", "--wait", "cirros", *HELD],
    ["run", "--name", "demo", "--cpu", "0.1", "--memory", "64", "--label", "app=web", "--wait", "cirros", *HELD],
    ["list"],
    ["show", "demo"],
    ["exec", "demo", "echo", "hello"],
    ["logs", "demo"],
    ["top", "demo"],
    ["stats", "demo"],
    ["set", "--memory", "96", "demo"],
    ["cp", "FILE", "demo:/tmp"],
    ["pause", "demo"],
    ["unpause", "demo"],
    ["restart", "--timeout", "1", "demo"],
    ["kill", "--signal", "SIGTERM", "demo"],
    ["start", "made"],
    ["stop", "--timeout", "1", "made"],
    ["action", "list", "demo"],
    ["action", "show", "demo", "REQUEST"],
    ["rebuild", "--wait", "demo"],
    ["commit", "demo", "image:new"],
    ["network", "list", "demo"],
    ["network", "attach", "--network", "other", "demo"],
    ["network", "detach", "--network", "other", "demo"],
    ["add", "security", "group", "demo", "web"],
    ["remove", "security", "group", "demo", "web"],
    ["add", "floating", "ip", "demo", "192.0.2.7"],
    ["remove", "floating", "ip", "192.0.2.7"],
    ["image", "pull", "cirros", "HOST"],
    ["image", "list"],
    ["image", "search", "cirros"],
    ["image", "show", "IMAGE"],
    ["image", "delete", "IMAGE"],
    ["registry", "create", "--name", "ours", "--domain", "registry.example.org"],
    ["registry", "list"],
    ["registry", "show", "ours"],
    ["registry", "update", "--domain", "images.example.org", "ours"],
    ["registry", "delete", "ours"],
    ["delete", "--stop", "demo"],
    ["delete", "--force", "made"],
]
# Sessions on a terminal: the words, and what is typed after what was shown.
SESSIONS = [
    (["run", "--name", "shell", "--cpu", "0.1", "--memory", "64", "--interactive", "cirros", "/bin/sh"],
     [("/ # ", "echo $((40 + 2))\r"), ("42", "sleep 1; stty size\r"), ("33 101", "sleep 1; exit\r")]),
    (["run", "--name", "kept", "--cpu", "0.1", "--memory", "64", "--interactive", "cirros", "/bin/sh"],
     [("/ # ", "exec sleep 600 &\r"), ("/ # ", "CLOSE")]),
    (["attach", "kept"], [("press Enter", "\r"), ("/ # ", "echo $((40 + 3))\r"), ("43", "CLOSE")]),
    (["exec", "--interactive", "kept", "/bin/sh"],
     [("/ # ", "echo $((40 + 4))\r"), ("44", "exit\r")]),
]
# Seconds that a session may take.
SESSION_LIMIT = 60


def environment(path):
    """Returns the client's environment: no other OS_ variable may reach its plugins."""
    text = open(path, encoding="utf-8").read()
    pairs = re.findall(r"^(?:export )?(OS_\w+)='?([^'\n]*)'?$", text, re.MULTILINE)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OS_")}
    return kept | dict(pairs) | {"COLUMNS": "100", "PYTHONWARNINGS": "ignore"}


def call(words, env):
    program = os.path.join(os.environ["ZUN_TEST_OPENSTACK"], "openstack")
    done = subprocess.run([program, "appcontainer", *words], env=env, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120, check=False)
    return done.returncode, done.stdout.decode(errors="replace")


def session(words, typed, env, ca):
    """Runs the client on a terminal. It trusts only the system's CAs, so it gets a view of the file system where the
    service's CA is one of them."""
    program = os.path.join(os.environ["ZUN_TEST_OPENSTACK"], "openstack")
    script = 'stty rows 33 cols 101; mount --bind "$1" /etc/ssl/certs/ca-certificates.crt && shift && exec "$@"'
    command = ["unshare", "--mount", "sh", "-c", script, "sh", ca, program, "appcontainer", *words]
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvpe(command[0], command, env)
    text, seen, left, end = b"", 0, list(typed), time.monotonic() + SESSION_LIMIT
    while time.monotonic() < end:
        if left and left[0][0].encode() in text[seen:]:
            wanted, keys = left.pop(0)
            seen = text.index(wanted.encode(), seen) + len(wanted)
            if keys == "CLOSE":
                break
            os.write(terminal, keys.encode())
        if not select.select([terminal], [], [], 0.2)[0]:
            continue
        try:
            text += os.read(terminal, 65536)
        except OSError:
            break
    os.close(terminal)
    os.waitpid(pid, 0)
    if left:
        sys.exit(f"{words} did not show {left[0][0]!r}: {text.decode(errors='replace')}")
    return text.decode(errors="replace")


def neutral(text, env, host):
    text = re.sub(r"req-[0-9a-f-]{36}", "req-ID", text)
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "UUID", text)
    text = re.sub(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:[.]\d+)?(?:\+\d\d:\d\d)?", "TIME", text)
    text = re.sub(r"https?://127[.]0[.]0[.]1:\d+", "http://ZUN", text)
    # The machine's own resolver.
    text = re.sub(r"(lookup \S+) on \S+: no such host", r"\1: no such host", text)
    text = text.replace(host, "HOST").replace(env.get("OS_TOKEN", "\0"), "TOKEN")
    return "\n".join(line.rstrip() for line in text.splitlines()).strip()


def plain(text):
    """Removes what moves the cursor, and the prompts' spaces at the ends of lines."""
    text = re.sub(r"\x1b(?:\[[0-9;?]*[A-Za-z]|[0-Z^-~])", "", text.replace("\r", ""))
    return "\n".join(line.rstrip() for line in text.splitlines() if line.strip())


def verdict(words, code, text):
    if "HTTP 501" in text:
        return "501: not supported"
    if "floatingips" in text:
        return "fails in the client, which asks Neutron"
    if words == ["top", "demo"] and "unsupported operand" in text:
        return "fails in the client, which cannot print the answer"
    if words[:2] == ["image", "search"] and ("no such host" in text or "dial tcp" in text):
        return "fails here (502): the machine of this transcript does not reach Docker Hub"
    if words[:2] == ["image", "show"] and "cannot pull the image" in text:
        return "works; the pull has failed, because the machine of this transcript does not reach Docker Hub"
    refused = re.search(r"[(]HTTP (\d+)[)]", text)
    if refused:
        return f"refused ({refused[1]}), see below"
    if "Traceback" in text or code != 0:
        return "fails in the client"
    return "works"


def main():
    env = environment(sys.argv[1])
    known = {tuple(entry.name.removeprefix("appcontainer_").split("_"))
             for entry in entry_points(group="openstack.container.v1")
             if entry.name.startswith("appcontainer_")}
    host = re.search(r"\| hostname +\| (\S+)|^(\S+)$",
                     call(["host", "list", "-f", "value", "-c", "hostname"], env)[1].strip(), re.MULTILINE)
    host = (host[1] or host[2]) if host else "no-host"
    file = tempfile.NamedTemporaryFile(prefix="zun-", suffix=".txt", delete=False)
    file.write(b"hello\n")
    file.close()
    request, image, rows, blocks, seen = "none", "none", [], [], set()
    for step in STEPS:
        words = [{"HOST": host, "REQUEST": request, "IMAGE": image, "FILE": file.name}.get(word, word) for word in step]
        code, text = call(words, env)
        found = re.search(r"req-[0-9a-f-]{36}", text)
        if step[:2] == ["action", "list"] and found:
            request = found[0]
        if step[:2] == ["image", "pull"]:
            image = (re.search(r"\| uuid +\| (\S+)", text) or ["none", "none"])[1]
        verb = max((verb for verb in known if tuple(step[:len(verb)]) == verb), key=len, default=None)
        if verb is None:
            sys.exit(f"the client has no verb for: {' '.join(step)}")
        seen.add(verb)
        words = " ".join(f"'{word}'" if " " in word else word for word in step)
        rows.append(f"| `{words}` | {verdict(step, code, text)} |")
        shown = neutral(text, env, host).replace(file.name, "FILE")
        blocks.append(f"$ openstack appcontainer {words}\n{shown}".strip())
    os.unlink(file.name)
    ca = os.path.join(os.path.dirname(sys.argv[1]), "standalone/host/ca.pem")
    sessions = []
    for step, typed in SESSIONS:
        seen |= {verb for verb in known if tuple(step[:len(verb)]) == verb}
        text = session(step, typed, env, ca)
        rows.append(f"| `{' '.join(step)}` | works, on a terminal |")
        sessions.append(f"$ openstack appcontainer {' '.join(step)}\n{plain(neutral(text, env, host))}")
    call(["delete", "--stop", "kept"], env)
    call(["delete", "--stop", "shell"], env)
    missing = sorted(" ".join(verb) for verb in known - seen)
    if missing:
        sys.exit(f"no step has the verbs: {', '.join(missing)}")
    print(HEAD.replace("VERSION", version("python-zunclient")))
    print("\n".join(["| command | result |", "|---|---|", *rows]))
    print("\n## Transcript\n")
    print("```console\n" + "\n\n".join(blocks) + "\n```")
    print("\n## Interactive sessions\n")
    print(INTERACTIVE)
    print("```console\n" + "\n\n".join(sessions) + "\n```")


HEAD = """# OpenStack's clients

This page shows each command of `openstack appcontainer` (python-zunclient VERSION) with its result on Zun. To point the client at
zun-api, set `OS_AUTH_TYPE=admin_token`, `OS_ENDPOINT` and `OS_TOKEN`, or `OS_AUTH_TYPE=none`, or use Keystone
([Installation](install.md#who-may-use-it)).

`deploy/openstack-clients.sh` runs the commands against the standalone service and writes this page. Do not edit it. The
script replaces names of hosts, identifiers and times, so some tables below are not aligned.
"""

INTERACTIVE = """The client connects to a websocket at the host's console gate, at the name in the gate's section `[public]`. It trusts only the
CAs of the system. If Zun's own CA has signed the gate's certificate, as in the standalone service, add this CA to
`/etc/ssl/certs/ca-certificates.crt`.
"""

main()
