//! The end of the process.

use zun_common::pty::Ending;

use super::Session;

impl Session {
    /// Ends the session after the engine's stream has ended. Clients get the ending after all output.
    pub fn end(&mut self, mut ending: Ending) {
        ending.zun.stdout_bytes = self.stdout.end();
        ending.zun.stderr_bytes = self.stderr.end();
        self.process.running = false;
        self.stdout.nothing_follows();
        self.stderr.nothing_follows();
        self.ending.get_or_insert(ending);
    }
}
