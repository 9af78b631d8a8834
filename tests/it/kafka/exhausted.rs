//! Nothing left: no room on the broker's disk.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::deployment::{Deployment, events};
use super::rig::{Beyond, Cluster, left_out};

/// Fewer alerts than this would show nothing.
const ENOUGH: usize = 100;
/// How long it stays so.
const WHILE: Duration = Duration::from_secs(8);

/// A small disk; it goes when it is dropped.
struct Disk {
    folder: PathBuf,
    _parent: tempfile::TempDir,
}

impl Disk {
    /// None where we may not mount one.
    fn new(size: &str) -> Option<Self> {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("disk");
        std::fs::create_dir(&folder).unwrap();
        let size = format!("size={size}");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(&folder).output().ok()?;
        mounted.status.success().then_some(Self { folder, _parent: parent })
    }

    /// Fills it to the last byte; returns the file that has to go for there to be room again.
    fn fill(&self) -> PathBuf {
        use std::io::Write as _;
        let path = self.folder.join("junk");
        let mut file = std::fs::File::create(&path).unwrap();
        while file.write_all(&[7; 4096]).is_ok() {}
        path
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Whoever still writes to it is gone soon.
        let _ = Command::new("umount").arg("-l").arg(&self.folder).status();
    }
}

#[test]
fn where_the_disk_of_the_broker_is_full_detection_waits_and_tells_everything_once_afterwards() {
    let Some(disk) = Disk::new("96m") else {
        println!("left out: a full disk: only root may mount one");
        return;
    };
    let log_dirs = format!("log.dirs={}\n", disk.folder.join("data").display());
    let Some(mut cluster) = Cluster::start_with(1, &Beyond { settings: log_dirs, ..Beyond::default() })
    else {
        return left_out("a full disk");
    };
    let deployment = Deployment::new("full", &cluster.addresses().brokers, 1, "").with_seats();
    let all = events(8000, 30);
    let (before, meanwhile) = all.split_at(4000);
    let mut instance = deployment.start("a");
    deployment.produce(before);
    let junk = disk.fill();
    std::thread::scope(|scope| {
        let producer = scope.spawn(|| deployment.produce(meanwhile));
        std::thread::sleep(WHILE);
        std::fs::remove_file(&junk).unwrap();
        // A broker that could not write has ended.
        cluster.restart(0);
        producer.join().unwrap();
    });
    deployment.wait(&mut [&mut instance]);
    instance.stop();
    assert!(deployment.check() > ENOUGH);
    deployment.check_identities();
}
