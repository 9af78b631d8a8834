//! A running instance of the service: a process with a log.
//!
//! Knows processes and signals. Must not know what the instance does.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// A running instance; ends with SIGKILL when it is dropped.
pub struct Instance {
    pub(super) child: Child,
    pub(super) log: PathBuf,
}

impl Instance {
    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub fn signal(&self, signal: &str) {
        let sent =
            Command::new("kill").args([format!("-{signal}"), self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// SIGKILL, now.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM; returns how long it took and the exit code.
    pub fn stop(&mut self) -> (Duration, Option<i32>) {
        let began = Instant::now();
        self.signal("TERM");
        let status = self.child.wait().unwrap();
        (began.elapsed(), status.code())
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let _ = writeln!(std::io::stderr(), "log of the instance:\n{}", self.log());
        }
    }
}
