//! Reading logs.

use chrono::{DateTime, Utc};
use zun_common::rpc::container::{ConsoleSpec, LogRequest};
use zun_compute::driver::{DriverError, LARGEST_OUTPUT};

use super::{Subject, TestEngine, all_logs, spec};

async fn read(subject: &Subject, request: &LogRequest) -> String {
    let logs = subject.driver.logs(subject.id, request).await.unwrap();
    assert!(!logs.truncated);
    String::from_utf8(logs.data).unwrap()
}

/// The pauses keep the order of the two streams.
const SPEECH: &str = "echo one; sleep 0.1; echo two >&2; sleep 0.1; echo three";

async fn spoken(engine: &dyn TestEngine) -> Subject {
    let subject = Subject::running(engine, SPEECH).await;
    assert_eq!(subject.exit_code().await, 0);
    subject
}

pub async fn streams_can_be_read_together_or_separately(engine: &dyn TestEngine) {
    let subject = spoken(engine).await;
    assert_eq!(read(&subject, &all_logs()).await, "one\ntwo\nthree\n");
    let stdout = LogRequest { stderr: false, ..all_logs() };
    assert_eq!(read(&subject, &stdout).await, "one\nthree\n");
    let stderr = LogRequest { stdout: false, ..all_logs() };
    assert_eq!(read(&subject, &stderr).await, "two\n");
}

pub async fn a_tail_returns_only_the_last_lines(engine: &dyn TestEngine) {
    let subject = spoken(engine).await;
    for (tail, wanted) in
        [(0, ""), (1, "three\n"), (2, "two\nthree\n"), (u32::MAX, "one\ntwo\nthree\n")]
    {
        let request = LogRequest { tail: Some(tail), ..all_logs() };
        assert_eq!(read(&subject, &request).await, wanted, "{tail}");
    }
}

pub async fn with_timestamps_each_line_begins_with_its_time(engine: &dyn TestEngine) {
    let before = Utc::now();
    let subject = spoken(engine).await;
    let request = LogRequest { timestamps: true, ..all_logs() };
    let text = read(&subject, &request).await;
    let mut last = before;
    for (line, wanted) in text.lines().zip(["one", "two", "three"]) {
        let (time, text) = line.split_once(' ').unwrap();
        let time = DateTime::parse_from_rfc3339(time).unwrap().to_utc();
        assert!(last <= time && time <= Utc::now(), "{line}");
        assert_eq!(text, wanted);
        last = time;
    }
    assert_eq!(text.lines().count(), 3);
}

pub async fn since_returns_only_newer_output(engine: &dyn TestEngine) {
    let subject = spoken(engine).await;
    let stamped = read(&subject, &LogRequest { timestamps: true, ..all_logs() }).await;
    let last = stamped.lines().last().unwrap().split_once(' ').unwrap().0;
    let since = Some(DateTime::parse_from_rfc3339(last).unwrap().to_utc());
    assert_eq!(read(&subject, &LogRequest { since, ..all_logs() }).await, "three\n");
    let since = Some(Utc::now());
    assert_eq!(read(&subject, &LogRequest { since, ..all_logs() }).await, "");
}

pub async fn only_the_last_four_mebibytes_are_returned_and_marked_as_cut(engine: &dyn TestEngine) {
    let line = "0123456789abcdef".repeat(8);
    let flood = format!("yes {line} | head -c 6000000; echo; echo the end");
    let subject = Subject::running(engine, &flood).await;
    assert_eq!(subject.exit_code().await, 0);
    let logs = subject.driver.logs(subject.id, &all_logs()).await.unwrap();
    assert!(logs.truncated);
    assert!(logs.data.len() <= LARGEST_OUTPUT && logs.data.len() > LARGEST_OUTPUT - 64);
    assert!(logs.data.ends_with(b"\nthe end\n"));
}

pub async fn a_terminal_has_one_stream(engine: &dyn TestEngine) {
    let mut asked = spec(engine, SPEECH);
    asked.console = ConsoleSpec { tty: true, ..ConsoleSpec::default() };
    let subject = Subject::started(engine, &asked).await;
    subject.exit_code().await;
    // A real terminal ends lines with both characters.
    let text = read(&subject, &all_logs()).await.replace('\r', "");
    assert_eq!(text, "one\ntwo\nthree\n");
    let request = LogRequest { tail: Some(1), ..all_logs() };
    assert_eq!(read(&subject, &request).await.replace('\r', ""), "three\n");
}

pub async fn a_request_for_no_stream_is_refused(engine: &dyn TestEngine) {
    let subject = spoken(engine).await;
    let none = LogRequest { stdout: false, stderr: false, ..all_logs() };
    let error = subject.driver.logs(subject.id, &none).await.unwrap_err();
    assert!(matches!(error, DriverError::Invalid { .. }), "{error:?}");
}

pub async fn output_is_kept_after_the_end_and_a_restart(engine: &dyn TestEngine) {
    let subject = Subject::created(engine, &spec(engine, "echo again")).await;
    assert_eq!(read(&subject, &all_logs()).await, "");
    for wanted in ["again\n", "again\nagain\n"] {
        subject.driver.start(subject.id).await.unwrap();
        subject.exit_code().await;
        assert_eq!(read(&subject, &all_logs()).await, wanted);
    }
}
