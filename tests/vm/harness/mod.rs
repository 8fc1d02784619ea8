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
mod start;

pub use initramfs::stripped;

use start::Start;
use std::fs::{self, File, TryLockError};
use std::io::{PipeReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

/// How a processor is had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Accelerator {
    Kvm,
    /// By none: the kernel is built to be a process of another one (user-mode Linux), nearly as fast. It is no
    /// PC: its disks are of another kind, and it has no bus that they could be taken off.
    User,
    /// QEMU's own emulation: about ten times slower, and everywhere.
    Tcg,
}

impl Accelerator {
    const ALL: [(&'static str, Accelerator); 3] = [
        ("kvm", Accelerator::Kvm),
        ("user", Accelerator::User),
        ("tcg", Accelerator::Tcg),
    ];
}

/// More would want more memory than a small machine has: each has 1 GiB.
const MOST_GUESTS: usize = 4;

/// What all guests of this test run share.
#[derive(Debug)]
pub struct Machine {
    folder: PathBuf,
    pc: Kernel,
    process: Kernel,
    accelerator: Accelerator,
}

/// One of Debian's kernels.
#[derive(Debug)]
struct Kernel {
    file: PathBuf,
    modules: PathBuf,
    /// Modules that it alone needs.
    own: &'static [&'static str],
    initramfs: OnceLock<Vec<u8>>,
}

impl Kernel {
    fn new(file: PathBuf, modules: PathBuf, own: &'static [&'static str]) -> Kernel {
        Kernel {
            file,
            modules,
            own,
            initramfs: OnceLock::new(),
        }
    }

    fn initramfs(&self) -> &[u8] {
        self.initramfs
            .get_or_init(|| initramfs::base(&self.modules, self.own))
    }
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
        let pc = fs::read_dir(root.join("boot"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .find(|path| path.to_string_lossy().contains("/vmlinuz-"))
            .expect("a vmlinuz");
        let modules = root.join("usr/lib/uml/modules");
        let mut machine = Machine {
            pc: Kernel::new(pc, root.join("lib/modules"), &["virtio_pci", "virtio_blk"]),
            // FAT's names are in that, as it was built.
            process: Kernel::new(root.join("usr/bin/linux.uml"), modules, &["nls_iso8859-1"]),
            accelerator: Accelerator::Tcg,
            folder,
        };
        let wished = Accelerator::ALL.iter().find(|(name, _)| *name == wish);
        machine.accelerator = match (wished, wish) {
            (Some((_, wished)), _) => *wished,
            (None, "") => machine.probe(),
            (None, other) => panic!("SUGAR_CELLAR_VM={other}: want kvm, user, tcg or off"),
        };
        machine
    }

    /// The first that not only is there, but boots a guest: KVM inside another virtual machine may
    /// open, and then never get anywhere. Asked once a boot of the host.
    fn probe(&mut self) -> Accelerator {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let note = self.folder.join("accelerator");
        let known = fs::read_to_string(&note).unwrap_or_default();
        let known = known.strip_prefix(&boot).filter(|_| !boot.is_empty());
        let known =
            known.and_then(|known| Accelerator::ALL.iter().find(|(name, _)| *name == known));
        if let Some((_, works)) = known {
            return *works;
        }
        let mut sure = true;
        let works = Accelerator::ALL.into_iter().find(|(_, accelerator)| {
            self.accelerator = *accelerator;
            let end = self.tried();
            // Of a busy machine, that tells nothing.
            sure &= end != End::Late || *accelerator == Accelerator::Kvm;
            end == End::Exit(0)
        });
        let (name, accelerator) = works.expect("QEMU's emulation");
        if sure {
            fs::write(&note, format!("{boot}{name}")).expect("noting what works");
        }
        accelerator
    }

    /// How a guest ends that does nothing.
    fn tried(&self) -> End {
        let seconds = match self.accelerator {
            Accelerator::Tcg => return End::Exit(0),
            Accelerator::Kvm => {
                let kvm = File::options().read(true).write(true).open("/dev/kvm");
                if kvm.is_err() {
                    return End::Died;
                }
                8
            }
            Accelerator::User => {
                // A container may have next to nothing.
                let memory = rustix::fs::statvfs(start::MEMORY_FOLDER);
                let free = memory.map_or(0, |memory| memory.f_bavail * memory.f_frsize);
                if free < (seats() as u64 * start::MEMORY) << 20 {
                    return End::Died;
                }
                60
            }
        };
        let guest = self.guest("does it work");
        guest.limit(Duration::from_secs(seconds)).boot().end
    }

    /// The kernel's file name, which holds its version.
    pub fn kernel_name(&self) -> String {
        let name = self.pc.file.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    /// The folder with the kernel's `boot` and `lib`.
    pub fn root(&self) -> &Path {
        let kernel = &self.pc.file;
        kernel.ancestors().nth(2).expect("root/boot/vmlinuz")
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
            pc: false,
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
    pc: bool,
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

    /// It has a PC's disks and buses, which takes ten times as long where there is no KVM.
    pub fn pc(mut self) -> Self {
        self.pc = true;
        self
    }

    /// Starts the live system on the first disk with dracut's initramfs in `initrd`, and runs the script
    /// there: /bin/sh reads it from the disk behind all others.
    pub fn live(mut self, initrd: &Path) -> Self {
        self.live = Some(initrd.to_owned());
        self.pc()
    }

    /// Cuts the power (kills what runs it) once the script, or the guest's console, has said `mark`; or another
    /// one, if called again.
    pub fn cut_at(mut self, mark: &str) -> Self {
        self.cut_at.push(mark.to_owned());
        self
    }

    /// Runs it to its end, as soon as there is a seat for it.
    ///
    /// # Panics
    /// When it cannot be started, or the time is over.
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

        let (accelerator, kernel) = match self.machine.accelerator {
            Accelerator::User if self.pc => (Accelerator::Tcg, &self.machine.pc),
            Accelerator::User => (Accelerator::User, &self.machine.process),
            other => (other, &self.machine.pc),
        };
        let place = tempfile::tempdir_in(&self.machine.folder).unwrap();
        let (initrd, arguments) = match self.live.take() {
            None => {
                self.files.file("script", 0o644, self.script.as_bytes());
                // The kernel unpacks archives one after the other.
                let archives = [kernel.initramfs(), &self.files.finish()].concat();
                let initrd = place.path().join("initrd");
                fs::write(&initrd, archives).unwrap();
                (initrd, "")
            }
            Some(initrd) => {
                let text = format!("{}\n", self.script);
                let padding = text.len().next_multiple_of(512);
                let script = place.path().join("script");
                fs::write(&script, format!("{text:\n<padding$}")).unwrap();
                self.disks.push(script);
                (initrd, LIVE)
            }
        };
        let started = Instant::now();
        let (over, held) = std::io::pipe().unwrap();
        let child = Start {
            kernel: &kernel.file,
            initrd: &initrd,
            arguments,
            disks: &self.disks,
            ports: [&console, &stdout, &status],
            log: &log("start"),
            folder: place.path(),
        }
        .command(accelerator, held)
        .spawn()
        .expect("starting a guest: `make install-deps` installs what that needs");
        let end = Running { child, over }.watch(started + self.limit, || {
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
            console: read(&console) + &read(&log("start")),
        }
    }
}

/// What runs a guest; ended whatever happens to the test.
struct Running {
    child: Child,
    /// At its end when all of it has ended.
    over: PipeReader,
}

impl Running {
    /// Waits for its end, or until `cut` comes true, or the time is over, and ends it then.
    fn watch(mut self, until: Instant, cut: impl Fn() -> bool) -> End {
        loop {
            if self
                .child
                .try_wait()
                .expect("waiting for a guest")
                .is_some()
            {
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
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = self.over.read_to_end(&mut Vec::new());
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

/// How many guests run at once.
fn seats() -> usize {
    thread::available_parallelism().map_or(1, |seats| seats.get().min(MOST_GUESTS))
}

/// A guest's seat, free again when it is dropped: as many as there are processors, of which an
/// emulated guest keeps one busy, over all test processes of this target folder.
fn seat(folder: &Path) -> File {
    let seat = |number| File::create(folder.join(format!("seat-{number}"))).unwrap();
    let seats: Vec<File> = (0..seats()).map(seat).collect();
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
