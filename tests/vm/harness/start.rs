//! How a guest is started: by QEMU, or as a process.

use super::Accelerator;
use std::fs::File;
use std::io::PipeWriter;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A guest that is ready to be started.
#[derive(Debug)]
pub struct Start<'a> {
    pub kernel: &'a Path,
    pub initrd: &'a Path,
    /// What the kernel is told besides.
    pub arguments: &'a str,
    pub disks: &'a [PathBuf],
    /// What becomes of the kernel's messages, of what the script says, and of its exit status.
    pub ports: [&'a Path; 3],
    /// What the starting program itself says.
    pub log: &'a Path,
    /// For what it needs while it runs.
    pub folder: &'a Path,
}

/// Memory of a guest in MiB.
pub const MEMORY: u64 = 1024;
/// Where it is, of a kernel that is a process.
pub const MEMORY_FOLDER: &str = "/dev/shm";

impl Start<'_> {
    /// The command that starts it. Killed, it takes the guest along; the last of it that ends lets go of `held`.
    pub fn command(&self, accelerator: Accelerator, held: PipeWriter) -> Command {
        let mut command = match accelerator {
            Accelerator::User => self.process(),
            Accelerator::Kvm => self.qemu(&["-accel", "kvm", "-cpu", "host"]),
            // Five levels of page tables and wide registers only make emulation slower.
            Accelerator::Tcg => self.qemu(&[
                "-accel",
                "tcg,thread=multi",
                "-cpu",
                "max,la57=off,avx=off,avx2=off",
            ]),
        };
        command
            // Nothing of it reads, and all of it inherits.
            .stdin(held)
            .stderr(File::create(self.log).unwrap());
        command
    }

    fn qemu(&self, accelerator: &[&str]) -> Command {
        let mut qemu = Command::new("qemu-system-x86_64");
        qemu.args(accelerator)
            .args(["-nodefaults", "-no-user-config", "-no-reboot"])
            .args(["-display", "none", "-smp", "2"])
            .args(["-m", &MEMORY.to_string()])
            .arg("-kernel")
            .arg(self.kernel)
            .arg("-initrd")
            .arg(self.initrd)
            .arg("-append")
            .arg(format!(
                "console=ttyS0 loglevel=5 panic=-1 mitigations=off {}",
                self.arguments
            ));
        for port in self.ports {
            qemu.arg("-serial").arg(format!("file:{}", port.display()));
        }
        for disk in self.disks {
            // What the guest wrote is in the host's memory at least, which
            // outlives QEMU; the host's own power is not what is tested.
            qemu.arg("-drive").arg(format!(
                "file={},format=raw,if=virtio,cache=unsafe,discard=unmap",
                disk.display()
            ));
        }
        qemu.stdout(Stdio::null());
        qemu
    }

    /// In a process namespace of its own. The guest's programs are processes that the kernel traces: if it
    /// were killed alone, they would go on by themselves, with this machine's files under the same names.
    fn process(&self) -> Command {
        let [console, said, status] = self.ports;
        let mut linux = Command::new("unshare");
        if !rustix::process::geteuid().is_root() {
            linux.args(["--user", "--map-root-user"]);
        }
        linux
            .env("TMPDIR", MEMORY_FOLDER)
            .args(["--pid", "--fork", "--kill-child"])
            .args([
                "sh",
                "-c",
                r#"exec >"$1" 5>"$2" 6>"$3"; shift 3; exec "$@""#,
            ])
            .arg("sh")
            .args([console, said, status])
            .arg(self.kernel)
            .arg(format!("mem={MEMORY}M"))
            .arg(format!("initrd={}", self.initrd.display()))
            .arg(format!("uml_dir={}", self.folder.display()))
            .args(["con=null", "con0=null,fd:1", "ssl=null"])
            .args(["ssl1=null,fd:5", "ssl2=null,fd:6"])
            .args(["loglevel=5", "panic=-1", "noreboot"])
            .args(self.arguments.split_whitespace());
        for (number, disk) in self.disks.iter().enumerate() {
            linux.arg(format!("ubd{number}={}", disk.display()));
        }
        linux
    }
}
