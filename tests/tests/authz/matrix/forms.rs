//! URL-encoded forms in the body of a granted request. The engine prefers a form value over the same value in the
//! target, so a client with a read-only grant could use a form to get write access. The tests check what reached the
//! container and what came out of it, not what the plugin says.

use zun_tests::eventually::eventually;
use zun_tests::tls::Identity;

use super::raw;
use super::site::Site;
use crate::authz::bench::Bench;

const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";
const TEXT: &str = "Content-Type: text/plain\r\n";
const JSON: &str = "Content-Type: application/json\r\n";
const HIJACK: &str = "Connection: Upgrade\r\nUpgrade: tcp\r\n";

/// A request with a form: the end of its headers, and its body.
struct Sent {
    name: &'static str,
    rest: String,
}

/// Returns the form (`a=1&b=2`) in every encoding that marks a body as a form, and in some that do not.
fn forms(form: &str) -> Vec<Sent> {
    let sized = |headers: &str, body: &str| {
        format!("{headers}Content-Length: {}\r\n\r\n{body}", body.len())
    };
    let chunked = |headers: &str, trailer: &str| {
        format!(
            "{headers}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{form}\r\n0\r\n{trailer}\r\n",
            form.len()
        )
    };
    let parts = form.split('&').filter_map(|pair| pair.split_once('='));
    let parts: Vec<_> = parts
        .map(|(key, value)| {
            format!("--b\r\nContent-Disposition: form-data; name=\"{key}\"\r\n\r\n{value}\r\n")
        })
        .collect();
    let parts = parts.concat();
    let multipart = "Content-Type: multipart/form-data; boundary=b\r\n";
    let all = [
        ("a form", sized(FORM, form)),
        ("a form with a character set", sized(&FORM.replace("ed\r", "ed; charset=utf-8\r"), form)),
        ("a form in lower case", sized(&FORM.to_lowercase(), form)),
        ("a form in upper case", sized(&FORM.to_uppercase(), form)),
        ("a form, then text", sized(&format!("{FORM}{TEXT}"), form)),
        ("text, then a form", sized(&format!("{TEXT}{FORM}"), form)),
        ("a form, then JSON", sized(&format!("{FORM}{JSON}"), form)),
        ("JSON, then a form", sized(&format!("{JSON}{FORM}"), form)),
        ("a form, then nothing", sized(&format!("{FORM}Content-Type:\r\n"), form)),
        ("nothing, then a form", sized(&format!("Content-Type:\r\n{FORM}"), form)),
        (
            "a form over two lines",
            sized("Content-Type:\r\n application/x-www-form-urlencoded\r\n", form),
        ),
        ("a form in chunks", chunked(FORM, "")),
        ("a form after 100-continue", sized(&format!("{FORM}Expect: 100-continue\r\n"), form)),
        ("a form of many parts", sized(multipart, &format!("{parts}--b--\r\n"))),
        ("parts, then text", sized(&format!("{multipart}{TEXT}"), &format!("{parts}--b--\r\n"))),
        (
            "mixed parts",
            sized(&multipart.replace("form-data;", "mixed;"), &format!("{parts}--b--\r\n")),
        ),
        ("a content type in the trailer", chunked("Trailer: Content-Type\r\n", FORM)),
        (
            "a form with a method override",
            sized(&format!("X-HTTP-Method-Override: PUT\r\n{FORM}"), form),
        ),
        ("a form type in another header", sized(&FORM.replace("Content", "X-Content"), form)),
        ("a form without a type", sized("", form)),
        ("a form without a length", format!("{FORM}\r\n{form}")),
    ];
    all.map(|(name, rest)| Sent { name, rest }).into()
}

fn grant(site: &Site, id: &str, what: &str) -> Identity {
    site.rogue_ca.identity(&format!("zun://{}/containers/{id}/{what}", site.fixture.host), |_| {})
}

fn attach(site: &Site, id: &str, streams: &str) -> String {
    format!("POST {}/containers/{id}/attach?logs=0&stream=1&{streams}", site.fixture.prefix())
}

fn request(line: &str, headers: &str, rest: &str) -> String {
    format!("{line} HTTP/1.1\r\nHost: x\r\n{headers}{rest}")
}

/// Returns what the container has read.
fn read_by(site: &Site, id: &str) -> String {
    site.docker(&["exec", id, "cat", "/got"])
}

#[tokio::test]
async fn a_form_cannot_make_a_reader_type_or_read_old_output() {
    let site = Site::open().await;
    let script = "echo hist''ory; cat >/got";
    let id = site.container(&["run", "--detach"], "matrix-form", &["sh", "-c", script]);
    eventually("it reads", || site.docker(&["logs", &id]).contains("history"));
    let line = attach(&site, &id, "stdin=0&stdout=1&stderr=1");
    let mut wrong = Vec::new();
    for form in ["stdin=1", "stdin=1&logs=1", "stream=0&logs=1"] {
        for Sent { name, rest } in forms(form) {
            let reader = grant(&site, &id, "attach?mode=ro");
            let typed = format!("typed by {name} ({form})\n");
            let request = request(&line, HIJACK, &rest);
            let answer = raw::type_in(&site.dialer, &reader, (&request, &typed)).await;
            if answer.contains("history") {
                wrong.push(format!("{name} ({form}) returned earlier output"));
            }
        }
    }
    // Text typed with a read-write grant comes after all attempts.
    let keys = "detachKeys=%FF,%FE,%FD,%FC,%FB,%FA";
    let line = attach(&site, &id, &format!("stdin=1&stdout=1&stderr=1&{keys}"));
    let request = request(&line, HIJACK, "Content-Length: 0\r\n\r\n");
    let writer = grant(&site, &id, "attach?mode=rw");
    raw::type_in(&site.dialer, &writer, (&request, "authorized\n")).await;
    eventually("the authorized text arrived", || read_by(&site, &id).contains("authorized"));
    wrong.extend(read_by(&site, &id).lines().map(str::to_owned));
    site.docker(&["rm", "--force", &id]);
    assert_eq!(wrong, ["authorized"]);
    site.close().await;
}

#[tokio::test]
async fn a_form_cannot_change_a_size_or_end_a_wait() {
    let site = Site::open().await;
    let (prefix, ours) = (site.fixture.prefix(), site.fixture.ours.clone());
    let idle = site.container(&["create"], "matrix-form", &["sh"]);
    let resize = format!("POST {prefix}/containers/{ours}/resize?h=24&w=80");
    let wait = format!("POST {prefix}/containers/{idle}/wait?condition=next-exit");
    let size = || site.docker(&["exec", &ours, "sh", "-c", "stty size </proc/1/fd/0"]);
    raw::exchange(
        &site.dialer,
        &grant(&site, &ours, "attach?mode=rw"),
        request(&resize, "", "Content-Length: 0\r\n\r\n").as_bytes(),
    )
    .await;
    assert_eq!(size(), "24 80");
    let mut wrong = Vec::new();
    for Sent { name, rest } in forms("h=7&w=9") {
        let writer = grant(&site, &ours, "attach?mode=rw");
        raw::exchange(&site.dialer, &writer, request(&resize, "", &rest).as_bytes()).await;
        if size() != "24 80" {
            wrong.push(format!("{name}: the size is {}", size()));
        }
    }
    for Sent { name, rest } in forms("condition=not-running") {
        let reader = grant(&site, &idle, "attach?mode=ro");
        let bytes = request(&wait, "", &rest);
        let answer = raw::exchange(&site.dialer, &reader, bytes.as_bytes()).await;
        // The status code is -1 if the wait ended with its client.
        if answer.contains("StatusCode\":0") {
            wrong.push(format!("{name}: the wait ended"));
        }
    }
    site.docker(&["rm", "--force", &idle]);
    assert!(wrong.is_empty(), "{wrong:#?}");
    site.close().await;
}

/// Returns a tar with one small file.
fn tar(name: &str) -> String {
    let mut head = vec![0_u8; 512];
    let mut put =
        |at: usize, text: &str| head[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, "0000644");
    put(108, "0001751");
    put(116, "0001751");
    put(124, "00000000002");
    put(136, "00000000000");
    put(148, "        ");
    put(156, "0");
    put(257, "ustar\0");
    put(263, "00");
    let sum: u32 = head.iter().map(|byte| u32::from(*byte)).sum();
    head[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    let mut text = String::from_utf8(head).expect("text");
    text.push_str("x\n");
    text.push_str(&"\0".repeat(510 + 1024));
    text
}

#[tokio::test]
async fn a_form_cannot_write_a_file_elsewhere() {
    let site = Site::open().await;
    let (prefix, ours) = (site.fixture.prefix(), site.fixture.ours.clone());
    let line = format!("PUT {prefix}/containers/{ours}/archive?noOverwriteDirNonDir=1&path=/bin");
    let writer = || grant(&site, &ours, "archive?mode=rw");
    let files = || site.docker(&["exec", &ours, "sh", "-c", "echo /* /bin/form*"]);
    let before = files();
    let form = "path=/&copyUIDGID=1&noOverwriteDirNonDir=0";
    for kind in [FORM, TEXT, JSON, "Content-Type: application/x-tar\r\n", "Content-Type:\r\n"] {
        let body = tar("form-kind");
        let rest = format!("{kind}Content-Length: {}\r\n\r\n{body}", body.len());
        raw::exchange(&site.dialer, &writer(), request(&line, "", &rest).as_bytes()).await;
        assert_eq!(files(), before, "{kind}");
    }
    for Sent { name, rest } in forms(form) {
        // A tar after the form and after more bytes than the engine reads ahead.
        let gap = "\0".repeat(16 << 10);
        let bytes = request(&line, "", &rest) + &gap + &tar("form-behind");
        raw::exchange(&site.dialer, &writer(), bytes.as_bytes()).await;
        assert_eq!(files(), before, "{name}");
    }
    let body = tar("form-none");
    let rest = format!("Content-Length: {}\r\n\r\n{body}", body.len());
    raw::exchange(&site.dialer, &writer(), request(&line, "", &rest).as_bytes()).await;
    assert!(files().contains("/bin/form-none"), "{}", files());
    site.close().await;
}

#[tokio::test]
async fn an_exec_start_accepts_only_json() {
    let bench = Bench::start().await;
    let id = bench.container(&["--interactive", "small", "sh"]);
    bench.docker(&["start", &id]);
    let begin = r#"{"Detach":true}"#;
    let start = async |mark: &str, kinds: &str| {
        let exec = bench.exec(&id, &["sh", "-c", &format!("echo >/exec-{mark}")]).await;
        let identity = bench.rogue_ca.identity(&format!("zun://compute1/exec/{exec}"), |_| {});
        let rest = format!("{kinds}Content-Length: {}\r\n\r\n{begin}", begin.len());
        let bytes = request(&format!("POST /v{}/exec/{exec}/start", bench.version), "", &rest);
        raw::statuses(&raw::exchange(&bench.dialer, &identity, bytes.as_bytes()).await)
    };
    let parts = "Content-Type: multipart/form-data; boundary=b\r\n";
    let all = [
        FORM.to_owned(),
        TEXT.to_owned(),
        parts.to_owned(),
        format!("{FORM}{JSON}"),
        format!("{JSON}{FORM}"),
        format!("{TEXT}{JSON}"),
        format!("{JSON}{TEXT}"),
        format!("{FORM}{TEXT}{JSON}"),
        format!("{JSON}{parts}"),
        format!("{parts}{JSON}"),
    ];
    for kinds in &all {
        let statuses = start("bad", kinds).await;
        assert!(!matches!(statuses.first(), Some(101 | 200)), "{kinds}: {statuses:?}");
    }
    assert_eq!(start("good", JSON).await, [200]);
    let files = || bench.docker(&["exec", &id, "sh", "-c", "echo /exec-*"]);
    eventually("it ran", || files().contains("good"));
    assert_eq!(files(), "/exec-good");
    bench.stop().await;
}
