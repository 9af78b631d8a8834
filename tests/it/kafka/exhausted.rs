//! Nothing left: no room on the broker's disk, no file descriptors for the instance.

use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::deployment::{Deployment, events};
use super::rig::{Beyond, Cluster, left_out};
use super::serving::address;

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

#[test]
fn whoever_takes_all_file_descriptors_stops_detection_for_no_longer_than_he_holds_them() {
    let Some(mut cluster) = Cluster::start(1) else { return left_out("file descriptors") };
    let deployment = Deployment::new("descriptors", &cluster.addresses().brokers, 1, "").with_seats();
    let all = events(8000, 30);
    let (before, meanwhile) = all.split_at(4000);
    let mut instance = deployment.start_with("a", &["run", "--listen", "127.0.0.1:0"]);
    deployment.produce(before);
    deployment.wait(&mut [&mut instance]);
    let address = address(&mut instance);
    let limited = Command::new("prlimit")
        .args(["--pid", &instance.id().to_string(), "--nofile=256:256"])
        .output()
        .is_ok_and(|limited| limited.status.success());
    if !limited {
        println!("left out: file descriptors: there is no prlimit");
        return;
    }
    let held: Vec<TcpStream> = (0..400).filter_map(|_| TcpStream::connect(&address).ok()).collect();
    assert!(held.len() > 256, "{}", held.len());
    std::thread::sleep(Duration::from_secs(1));
    let folder = format!("/proc/{}/fd", instance.id());
    let open = || std::fs::read_dir(&folder).unwrap().count();
    println!("{} file descriptors are open of 256", open());
    // With no room for a new connection, all to the broker are lost.
    cluster.restart(0);
    deployment.produce(meanwhile);
    std::thread::sleep(WHILE);
    assert!(instance.is_running(), "{}", instance.log());
    println!("{} after that; {:?} of {:?} are judged", open(), deployment.committed(), deployment.ends());
    drop(held);
    deployment.wait(&mut [&mut instance]);
    instance.stop();
    assert!(deployment.check() > ENOUGH);
    deployment.check_identities();
}
