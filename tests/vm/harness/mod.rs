//! Boots a guest, runs a shell script in it, and brings back what it said.
//!
//! ```no_run
//! let Some(machine) = Machine::get() else { return };
//! let output = machine
//!     .guest("two and two")
//!     .disk(&path)                 // /dev/vda, raw
//!     .script("mount /dev/vda /mnt; echo $((2 + 2))")
//!     .run();
//! assert_eq!(output.expect_ok(), "4\n");
//! ```
//!
//! The script runs in dash under `set -eu`, after `guest/lib.sh`, with busybox, and
//! the tools of [`initramfs::TOOLS`] and the helper on its path. The guest's
//! memory and kernel are gone afterwards, what it wrote to its disks is there:
//! also after a power cut ([`Guest::cut_at`], or `power_cut` in the script).

mod cpio;
mod initramfs;
mod modules;

pub use initramfs::stripped;

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

/// How a processor is had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Accelerator {
    Kvm,
    /// QEMU's own emulation: about ten times slower, and everywhere.
    Tcg,
}

/// More would want more memory than a small machine has: each has 1 GiB.
const MOST_GUESTS: usize = 4;

/// What all guests of this test run share.
#[derive(Debug)]
pub struct Machine {
    folder: PathBuf,
    kernel: PathBuf,
    initramfs: Vec<u8>,
    accelerator: Accelerator,
}

impl Machine {
    /// The machine; none where `SUGAR_CELLAR_VM=off` says to do without, loudly.
    ///
    /// # Panics
    /// Where QEMU, the kernel or a tool cannot be had: a test that was not run must not look passed.
    pub fn get() -> Option<&'static Machine> {
        static MACHINE: OnceLock<Option<Machine>> = OnceLock::new();
        MACHINE
            .get_or_init(|| {
                let wish = std::env::var("SUGAR_CELLAR_VM").unwrap_or_default();
                if wish == "off" {
                    loud("SKIPPED: the tests in a virtual machine (SUGAR_CELLAR_VM=off)");
                    return None;
                }
                Some(Machine::new(&wish))
            })
            .as_ref()
    }

    fn new(wish: &str) -> Machine {
        let folder = folder();
        let making = File::create(folder.join("lock")).unwrap();
        making.lock().expect("locking target/vm");
        let unpacked = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vm/kernel.sh"))
            .arg(&folder)
            .stderr(Stdio::inherit())
            .output()
            .expect("running kernel.sh");
        assert!(unpacked.status.success(), "no kernel: see above");
        let root = PathBuf::from(String::from_utf8(unpacked.stdout).unwrap().trim());
        let kernel = fs::read_dir(root.join("boot"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .find(|path| path.to_string_lossy().contains("/vmlinuz-"))
            .expect("a vmlinuz");
        let mut machine = Machine {
            kernel,
            initramfs: initramfs::base(&root),
            accelerator: Accelerator::Tcg,
            folder,
        };
        machine.accelerator = match wish {
            "tcg" => Accelerator::Tcg,
            "kvm" => Accelerator::Kvm,
            "" => machine.probe(),
            other => panic!("SUGAR_CELLAR_VM={other}: want tcg, kvm or off"),
        };
        machine
    }

    /// Whether KVM not only is there, but boots a guest: inside another virtual
    /// machine it may open, and then never get anywhere. Asked once a boot of the host.
    fn probe(&mut self) -> Accelerator {
        if File::options()
            .read(true)
            .write(true)
            .open("/dev/kvm")
            .is_err()
        {
            return Accelerator::Tcg;
        }
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let note = self.folder.join("accelerator");
        let known = fs::read_to_string(&note).unwrap_or_default();
        if let Some(works) = known.strip_prefix(&boot).filter(|_| !boot.is_empty()) {
            return if works == "kvm" {
                Accelerator::Kvm
            } else {
                Accelerator::Tcg
            };
        }
        self.accelerator = Accelerator::Kvm;
        let output = self
            .guest("does KVM work")
            .limit(Duration::from_secs(8))
            .boot();
        let (found, name) = if output.end == End::Exit(0) {
            (Accelerator::Kvm, "kvm")
        } else {
            (Accelerator::Tcg, "tcg")
        };
        fs::write(&note, format!("{boot}{name}")).expect("noting what works");
        found
    }

    /// The kernel's file name, which holds its version.
    pub fn kernel_name(&self) -> String {
        let name = self.kernel.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    /// The folder with the kernel's `boot` and `lib`.
    pub fn root(&self) -> &Path {
        self.kernel.ancestors().nth(2).expect("root/boot/vmlinuz")
    }

    /// A new guest; `name` names its logs below target/vm/logs.
    pub fn guest(&self, name: &str) -> Guest<'_> {
        Guest {
            machine: self,
            name: name.replace(|c: char| !c.is_ascii_alphanumeric(), "-"),
            disks: Vec::new(),
            files: cpio::Archive::new(),
            script: String::new(),
            limit: Duration::from_secs(900),
            cut_at: Vec::new(),
            live: None,
        }
    }
}

/// A guest that is being put together.
#[derive(Debug)]
pub struct Guest<'m> {
    machine: &'m Machine,
    name: String,
    disks: Vec<PathBuf>,
    files: cpio::Archive,
    script: String,
    limit: Duration,
    cut_at: Vec<String>,
    live: Option<PathBuf>,
}

/// How a stick's boot loader starts a live system of the label STICK.
const LIVE: &str = "root=live:CDLABEL=STICK rd.live.image rd.live.overlay=LABEL=STICK rd.live.overlay.overlayfs=0 rw systemd.show_status=0";

impl Guest<'_> {
    /// Adds a raw disk: /dev/vda, then /dev/vdb, and so on.
    pub fn disk(mut self, path: &Path) -> Self {
        self.disks.push(path.to_owned());
        self
    }

    /// Adds a program of the host's, without what only a debugger reads, and its libraries.
    pub fn program(mut self, path: &str, program: &Path) -> Self {
        let (program, libraries) = initramfs::program(program);
        self.files.file(path, 0o755, &program);
        for (library, bytes) in libraries {
            self.files.file(&library, 0o755, &bytes);
        }
        self
    }

    /// What the guest does. A script ends at its first failing command.
    pub fn script(mut self, script: &str) -> Self {
        self.script.push_str(script);
        self.script.push('\n');
        self
    }

    /// The longest it may take, boot included (900 s unless told: a busy machine is slow).
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Starts the live system on the first disk with dracut's initramfs in `initrd`, and runs the script
    /// there: /bin/sh reads it from the disk behind all others.
    pub fn live(mut self, initrd: &Path) -> Self {
        self.live = Some(initrd.to_owned());
        self
    }

    /// Cuts the power (kills QEMU) once the script, or the guest's console, has said `mark`; or another
    /// one, if called again.
    pub fn cut_at(mut self, mark: &str) -> Self {
        self.cut_at.push(mark.to_owned());
        self
    }

    /// Runs it to its end, as soon as there is a seat for it.
    ///
    /// # Panics
    /// When QEMU cannot be started, or the time is over.
    pub fn run(self) -> Output {
        let _seat = seat(&self.machine.folder);
        let limit = self.limit;
        let output = self.boot();
        assert_ne!(output.end, End::Late, "longer than {limit:?}\n{output}");
        output
    }

    fn boot(mut self) -> Output {
        let logs = self.machine.folder.join("logs");
        fs::create_dir_all(&logs).unwrap();
        let log = |what: &str| logs.join(format!("{}.{what}", self.name));
        let (console, stdout, status) = (log("console"), log("output"), log("status"));
        let _ = fs::remove_file(&status);
        fs::write(&stdout, "").unwrap();

        let mut initramfs = tempfile::NamedTempFile::new_in(&self.machine.folder).unwrap();
        self.files.file("script", 0o644, self.script.as_bytes());
        // The kernel unpacks archives one after the other.
        std::io::Write::write_all(&mut initramfs, &self.machine.initramfs).unwrap();
        std::io::Write::write_all(&mut initramfs, &self.files.finish()).unwrap();

        let (initrd, arguments) = match &self.live {
            None => (initramfs.path(), ""),
            Some(initrd) => (initrd.as_path(), LIVE),
        };
        let mut script = tempfile::NamedTempFile::new_in(&self.machine.folder).unwrap();
        if self.live.is_some() {
            let text = format!("{}\n", self.script);
            let padding = text.len().next_multiple_of(512);
            std::io::Write::write_all(&mut script, format!("{text:\n<padding$}").as_bytes())
                .unwrap();
            self.disks.push(script.path().to_owned());
        }

        let mut qemu = Command::new("qemu-system-x86_64");
        match self.machine.accelerator {
            Accelerator::Kvm => qemu.args(["-accel", "kvm", "-cpu", "host"]),
            // Five levels of page tables and wide registers only make emulation slower.
            Accelerator::Tcg => qemu
                .args(["-accel", "tcg,thread=multi"])
                .args(["-cpu", "max,la57=off,avx=off,avx2=off"]),
        };
        qemu.args(["-nodefaults", "-no-user-config", "-no-reboot"])
            .args(["-display", "none", "-smp", "2", "-m", "1024"])
            .arg("-kernel")
            .arg(&self.machine.kernel)
            .arg("-initrd")
            .arg(initrd)
            .arg("-append")
            .arg(format!(
                "console=ttyS0 loglevel=5 panic=-1 mitigations=off {arguments}"
            ));
        for port in [&console, &stdout, &status] {
            qemu.arg("-serial").arg(format!("file:{}", port.display()));
        }
        for disk in &self.disks {
            // What the guest wrote is in the host's memory at least, which
            // outlives QEMU; the host's own power is not what is tested.
            qemu.arg("-drive").arg(format!(
                "file={},format=raw,if=virtio,cache=unsafe,discard=unmap",
                disk.display()
            ));
        }
        let started = Instant::now();
        let child = qemu
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(log("qemu")).unwrap())
            .spawn()
            .expect("starting qemu-system-x86_64: `make install-deps` installs it");
        let end = Running(child).watch(started + self.limit, || {
            if self.cut_at.is_empty() {
                return false;
            }
            let said = [read(&stdout), read(&console)];
            let there = |mark: &String| said.iter().any(|log| log.contains(mark));
            self.cut_at.iter().any(there)
        });
        let end = match (end, read(&status).trim()) {
            (End::Died, "cut") => End::Cut,
            (End::Died, status) => status.parse().map_or(End::Died, End::Exit),
            (end, _) => end,
        };
        let took = format!("{:.1} s\n", started.elapsed().as_secs_f64());
        fs::write(log("took"), took).unwrap();
        Output {
            end,
            stdout: read(&stdout),
            console: read(&console) + &read(&log("qemu")),
        }
    }
}

/// QEMU; ended whatever happens to the test.
struct Running(Child);

impl Running {
    /// Waits for its end, or until `cut` comes true, or the time is over, and ends it then.
    fn watch(mut self, until: Instant, cut: impl Fn() -> bool) -> End {
        loop {
            if self.0.try_wait().expect("waiting for QEMU").is_some() {
                return End::Died;
            }
            if cut() {
                return End::Cut;
            }
            if Instant::now() > until {
                return End::Late;
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// How a guest came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The script ended with this status, and the guest shut down.
    Exit(i32),
    /// The power was cut, as the test wished.
    Cut,
    /// It ended by itself without a word: a kernel that panicked, a broken QEMU.
    Died,
    /// It took too long.
    Late,
}

/// What a guest left behind.
#[derive(Debug)]
pub struct Output {
    /// How it ended.
    pub end: End,
    /// What the script wrote, errors included.
    pub stdout: String,
    /// What the guest's kernel and its first programs wrote.
    pub console: String,
}

impl Output {
    /// What the script wrote, if it went well.
    ///
    /// # Panics
    /// If not, with all that is known.
    #[track_caller]
    pub fn expect_ok(self) -> String {
        assert_eq!(self.end, End::Exit(0), "the guest's script failed\n{self}");
        self.stdout
    }

    /// What the script wrote before the power was cut.
    ///
    /// # Panics
    /// If the script came to an end instead.
    #[track_caller]
    pub fn expect_cut(self) -> String {
        assert_eq!(self.end, End::Cut, "the guest's power was not cut\n{self}");
        self.stdout
    }
}

impl std::fmt::Display for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Output {
            end,
            stdout,
            console,
        } = self;
        write!(f, "{end:?}\n--- script\n{stdout}\n--- console\n{console}")
    }
}

/// Where kernel, logs and made sticks lie: target/vm.
pub fn folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("vm");
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// A guest's seat, free again when it is dropped: as many as there are processors, of which an
/// emulated guest keeps one busy, over all test processes of this target folder.
fn seat(folder: &Path) -> File {
    let seats = thread::available_parallelism().map_or(1, |seats| seats.get().min(MOST_GUESTS));
    let seat = |number| File::create(folder.join(format!("seat-{number}"))).unwrap();
    let seats: Vec<File> = (0..seats).map(seat).collect();
    loop {
        for seat in &seats {
            match seat.try_lock() {
                Ok(()) => return seat.try_clone().unwrap(),
                Err(TryLockError::WouldBlock) => {}
                Err(error) => panic!("locking target/vm: {error}"),
            }
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// To standard error past libtest, which hides what passing tests print.
pub fn loud(text: &str) {
    let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("\n{text}\n").as_bytes());
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}

/// Where a tool lies. Users' paths often lack the sbin folders.
pub fn which(tool: &str) -> PathBuf {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    path.split(':')
        .map(|folder| Path::new(folder).join(tool))
        .find(|candidate| candidate.is_file())
        .unwrap_or_else(|| panic!("{tool} is missing: `make install-deps` installs it"))
}

/// Runs a tool of the host's and gives what it wrote.
///
/// # Panics
/// When it fails.
pub fn run(command: &mut Command) -> String {
    let tool = which(&command.get_program().to_string_lossy());
    let output = Command::new(tool)
        .args(command.get_args())
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
