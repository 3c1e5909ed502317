//! Records the result of a test, whether it passes or panics.

use std::io::Write;
use std::time::Instant;

use super::Finding;
use crate::profile::is_long;

/// Appends the result to the file named by `ZUN_TEST_RESULTS` on drop.
#[derive(Debug)]
pub struct Recorder {
    test: &'static str,
    begun: Instant,
    figure: Option<String>,
}

/// Creates the recorder of the test that calls this.
#[macro_export]
macro_rules! recorder {
    () => {{
        fn here() {}
        $crate::conditions::Recorder::of(std::any::type_name_of_val(&here))
    }};
}

impl Recorder {
    /// Creates the recorder of the test in this path: `…::c06_what_it_shows::here`.
    pub fn of(path: &'static str) -> Self {
        let is_test = |word: &&str| {
            let bytes = word.as_bytes();
            bytes.len() > 4 && bytes[0] == b'c' && bytes[1..3].iter().all(u8::is_ascii_digit)
        };
        let test = path.split("::").find(is_test).expect("a test is named after its condition");
        Self { test, begun: Instant::now(), figure: None }
    }

    /// Sets the measured value.
    pub fn measured(&mut self, figure: impl Into<String>) {
        self.figure = Some(figure.into());
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        let Some(path) = std::env::var_os("ZUN_TEST_RESULTS") else { return };
        let engine = std::env::var_os("ZUN_TEST_ENGINE_VERSION").unwrap_or_default();
        let finding = Finding {
            condition: self.test[..3].to_uppercase(),
            test: self.test.to_owned(),
            engine: engine.to_string_lossy().into_owned(),
            held: !std::thread::panicking(),
            long: is_long(),
            seconds: self.begun.elapsed().as_secs_f64(),
            figure: self.figure.take(),
        };
        let mut line = serde_json::to_string(&finding).expect("JSON");
        line.push('\n');
        // One write per line, so that parallel tests do not mix their lines.
        let file = std::fs::File::options().create(true).append(true).open(&path);
        let written = file.and_then(|mut file| file.write_all(line.as_bytes()));
        if let Err(cause) = written {
            eprintln!("cannot append the result to {}: {cause}", path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recorder_finds_the_name_of_its_test() {
        let recorder = Recorder::of("interactive::interactive::pipes::c06_the_end::here");
        assert_eq!(recorder.test, "c06_the_end");
        std::mem::forget(recorder);
    }
}
