//! A new image of a merged inner image, compressed by mksquashfs.
//!
//! mksquashfs reads the old image, mounted at no place in any tree, so that all else in it keeps
//! its names, owners, times, links and extended attributes. The inner file is left out of that and
//! comes as a pseudo file of the same owner, mode and time through `cat`'s standard input. The
//! new image is a file that it inherits, open: no path of anybody's is followed.

use crate::error::{Doing, Error, Part, Result};
use crate::progress::Progress;
use crate::protocol::Stage;
use crate::refresh::plan::Options;
use crate::squash::{Image, mksquashfs_options};
use crate::stick::{Detached, squashfs};
use crate::system;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

const PROGRAM: &str = "mksquashfs";
/// How often it is looked at.
const PAUSE: Duration = Duration::from_millis(50);
/// So much of what it complains of is kept, in bytes.
const COMPLAINT: u64 = 16 << 10;

/// Whether it is installed.
pub(super) fn available() -> Result<()> {
    let mut command = Command::new(PROGRAM);
    command.arg("-version").stdin(Stdio::null());
    match command.output() {
        Ok(_) => Ok(()),
        Err(error) => Err(not_run(error)),
    }
}

fn not_run(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::NotFound => Error::Missing {
            program: PROGRAM,
            package: "squashfs-tools",
        },
        _ => Error::Io {
            doing: format!("starting {PROGRAM}"),
            source: error,
        },
    }
}

/// What is to be made of what.
pub(super) struct Job<'a> {
    /// The old image, and its open file.
    pub old: &'a Image,
    pub image: BorrowedFd<'a>,
    /// The new inner file.
    pub inner: &'a File,
    /// The new image: empty.
    pub out: BorrowedFd<'a>,
    pub options: &'a Options,
}

impl Job<'_> {
    pub fn run(&self, progress: &dyn Progress) -> Result<()> {
        let image = self.image.try_clone_to_owned().doing("opening the image")?;
        let mounted = squashfs(&File::from(image))?;
        let made = self.make(&mounted, progress);
        mounted.release();
        made
    }

    fn make(&self, mounted: &Detached, progress: &dyn Progress) -> Result<()> {
        let pseudo = self.pseudo(mounted)?;
        // Inherited, unlike all else that we hold.
        let out = rustix::io::dup(self.out).doing("opening the new image")?;
        let mut inner = self.inner;
        inner.rewind().doing("reading the scratch file")?;
        let stdin = inner.try_clone().doing("reading the scratch file")?;
        let mut command = Command::new(PROGRAM);
        command
            .current_dir(path(mounted.root.handle().as_fd()))
            .args([".", &path(out.as_fd())])
            .args(mksquashfs_options(self.old, self.options.compression)?)
            .args(["-noappend", "-no-recovery", "-no-progress", "-quiet"])
            .args(["-processors", &self.options.threads.max(1).to_string()])
            .args(["-p", &pseudo])
            // Takes all that follows.
            .args(["-e", self.old.inner_path()])
            .env("LC_ALL", "C")
            .env_remove("SOURCE_DATE_EPOCH")
            .stdin(stdin)
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        system::ends_with_us(&mut command);
        log::debug!("{command:?}");
        let child = command.spawn().map_err(not_run)?;
        drop(out);
        let mut running = Running(child);
        let complaint = running.0.stderr.take();
        let listen = || {
            let mut text = String::new();
            if let Some(mut all) = complaint {
                // What it says behind that is read as well, or it would wait for us.
                let read = all.by_ref().take(COMPLAINT).read_to_string(&mut text);
                let rest = io::copy(&mut all, &mut io::sink());
                log::debug!("{PROGRAM}: {read:?}, {rest:?}");
            }
            text
        };
        let total = self.old.inner_bytes().0;
        std::thread::scope(|scope| {
            let listener = scope.spawn(listen);
            let status = running.wait(|| {
                let read = inner.stream_position()?;
                // What it has read it has not compressed yet.
                progress.step(Stage::Build, read.min(total.saturating_sub(1)), total);
                Ok(progress.cancelled())
            });
            drop(running);
            let complaint = listener.join().unwrap_or_default();
            match status.doing(format!("waiting for {PROGRAM}"))? {
                None => Err(Error::Cancelled),
                Some(status) if status.success() => {
                    if !complaint.is_empty() {
                        // Whether it matters is for the comparison of both images to find out.
                        log::warn!("{PROGRAM}: {}", complaint.trim());
                    }
                    progress.step(Stage::Build, total, total);
                    Ok(())
                }
                Some(status) => Err(went_wrong(status, &complaint)),
            }
        })
    }

    /// The inner file as a pseudo file, with the old one's owner, mode and time.
    fn pseudo(&self, mounted: &Detached) -> Result<String> {
        let path = self.old.inner_path();
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(mounted.root.handle(), path, flags, Mode::empty())
            .doing("opening the inner image")?;
        let attributes = match rustix::fs::flistxattr(&file, &mut [0u8; 0][..]) {
            // The image has none at all.
            Err(Errno::OPNOTSUPP) => 0,
            other => other.doing("asking for the inner image's attributes")?,
        };
        let told = File::from(file)
            .metadata()
            .doing("looking at the inner image")?;
        if attributes != 0 || told.nlink() != 1 {
            let detail = format!("{path} has extended attributes or other names");
            return Err(Error::unsupported(Part::Image, detail));
        }
        Ok(format!(
            "{path} F {} {:o} {} {} cat",
            told.mtime(),
            told.mode() & 0o7777,
            told.uid(),
            told.gid()
        ))
    }
}

/// A path by which a child finds an open file that it has, too.
fn path(file: BorrowedFd<'_>) -> String {
    format!("/proc/self/fd/{}", file.as_raw_fd())
}

/// It ends when this does.
struct Running(Child);

impl Running {
    /// Waits for its end; none where `ended` said so before.
    fn wait(
        &mut self,
        mut ended: impl FnMut() -> io::Result<bool>,
    ) -> io::Result<Option<ExitStatus>> {
        loop {
            if let Some(status) = self.0.try_wait()? {
                return Ok(Some(status));
            }
            if ended()? {
                return Ok(None);
            }
            std::thread::sleep(PAUSE);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended long since, or is of no use any more.
        if let Err(error) = self.0.kill().and_then(|()| self.0.wait().map(drop)) {
            log::warn!("ending {PROGRAM}: {error}");
        }
    }
}

/// It says what in English, and ends with 1 whatever it was.
fn went_wrong(status: ExitStatus, complaint: &str) -> Error {
    let kind = if complaint.contains("No space left on device") {
        io::ErrorKind::StorageFull
    } else if complaint.contains("File too large") {
        io::ErrorKind::FileTooLarge
    } else {
        io::ErrorKind::Other
    };
    Error::Io {
        doing: format!("compressing with {PROGRAM}"),
        source: io::Error::new(kind, format!("{status}: {}", complaint.trim())),
    }
}
