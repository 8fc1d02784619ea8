//! What went wrong and what is going on, in the words of the person at the stick.
//!
//! Every error becomes one sentence what and one sentence what to do. Texts
//! stay in one literal each, and no character literal holds a quotation mark:
//! xgettext reads Rust as C.

use super::figures::{duration, fill, rate, size};
use super::meter::Reading;
use crate::error::{Error, Part};
use crate::protocol::Stage;
use crate::stick::Host;
use crate::units::Bytes;
use gettextrs::gettext;
use rustix::io::Errno;
use std::io;
use std::path::Path;

/// An error for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// One sentence what.
    pub what: String,
    /// One sentence what to do.
    pub hint: String,
}

fn said(what: String, hint: String) -> Said {
    Said { what, hint }
}

/// What an error of the stick that is called `stick` means, and what to do: it is not to be pulled out
/// where the computer runs from it.
pub fn error_of(stick: &str, error: &Error) -> Said {
    on(Host::default().runs_from(Path::new(stick)), error)
}

fn on(running: bool, error: &Error) -> Said {
    match error {
        Error::NotFound { part, .. } => not_found(*part),
        Error::NoSpace {
            part,
            needed,
            available,
        } => no_space(*part, *needed, *available),
        Error::OnlyReplacing { needed, available } => only_replacing(*needed, *available),
        Error::FileLimit { limit, .. } => said(
            fill(
                &gettext(
                    "One file on this stick can be no larger than {size}, and that would not be enough.",
                ),
                &[("size", &size(*limit))],
            ),
            gettext(
                "Nothing was changed; make do with less, or move to a stick formatted with ext4.",
            ),
        ),
        Error::Unsupported { part, .. } => unsupported(*part),
        Error::Damaged { part, .. } => damaged(*part),
        Error::Busy { .. } => said(
            gettext("This stick is in use."),
            gettext(
                "Close the programs that use it, or, if the computer was started from it, start the computer from something else, and try again.",
            ),
        ),
        Error::Refused {
            part: Part::Scratch,
            ..
        } => said(
            gettext("This folder is not the right one."),
            gettext(
                "Name one on a disk that keeps what it holds when the computer is switched off; or, where a refresh is to be completed, the one that it began with.",
            ),
        ),
        Error::Refused { .. } => said(
            gettext("This was not done, because it would not be safe."),
            gettext("Nothing was changed; the details say what stands in the way."),
        ),
        Error::Waiting => said(
            gettext("This stick was refreshed already, and waits for the computer to restart."),
            gettext("Restart the computer; then the refresh is finished."),
        ),
        Error::Another { .. } => said(
            gettext("This is not the stick that was meant: another one is in its place."),
            gettext("Nothing was changed; look which sticks are there, and try again."),
        ),
        Error::Exists { path } => said(
            fill(
                &gettext("{path} exists already and is not empty."),
                &[("path", path)],
            ),
            gettext("Name a folder that does not exist yet, or empty this one."),
        ),
        Error::Cancelled => said(
            gettext("It was cancelled."),
            gettext("The stick is as it was; you can start again at any time."),
        ),
        Error::Denied { .. } => denied(),
        Error::ReadOnly { .. } => read_only(),
        Error::Unchecked => said(
            gettext(
                "The stick was cut off while it was written, or its file system noted an error, and nobody has put it in order since.",
            ),
            match running {
                true => look_from_another(),
                false => gettext(
                    "Have its file system repaired (in Disks, or by e2fsck -f), and try again.",
                ),
            },
        ),
        Error::Unseen => said(
            gettext(
                "The stick's file system has no journal, so nobody can see while it is mounted whether it is in order.",
            ),
            match running {
                true => gettext(
                    "Shut the computer down and refresh the stick from another one, where you can have a journal added to it as well (tune2fs -j).",
                ),
                false => {
                    gettext("Unmount it in the file manager, leave it plugged in, and try again.")
                }
            },
        ),
        Error::NoJournal => said(
            gettext(
                "The stick's file system has no journal, so a power cut could lose a file that is made longer.",
            ),
            gettext(
                "Refresh the stick, which makes room, or have a journal added to it first (tune2fs -j).",
            ),
        ),
        Error::Missing { program, package } => said(
            fill(
                &gettext("The program {program} is not installed."),
                &[("program", program)],
            ),
            fill(
                &gettext("Install the package {package} and try again."),
                &[("package", package)],
            ),
        ),
        Error::Io { source, .. } => input_output(running, source),
        Error::Unfinished(_) => said(
            gettext(
                "The new image is in place and nothing is lost, but the end of the work is still to be done.",
            ),
            gettext("Run the same command again: it completes what is left."),
        ),
        Error::Cut(_) => said(
            gettext("A refresh of this stick was interrupted, and its end is still to be done."),
            gettext("Refresh it again: that completes what is left, and nothing is lost."),
        ),
        Error::Replacing { file, .. } => said(
            gettext(
                "The image of this stick was being replaced when that was interrupted, and the stick does not start until it is completed.",
            ),
            fill(
                &gettext(
                    "Nothing is lost: refresh the stick again and name the folder that holds {file} (--scratch DIR), which completes it.",
                ),
                &[("file", file)],
            ),
        ),
        Error::Undo { first, .. } => Said {
            what: on(running, first).what,
            hint: gettext(
                "Tidying up afterwards failed as well; run the same command again, and it tidies up first.",
            ),
        },
    }
}

fn not_found(part: Part) -> Said {
    match part {
        Part::Disk => said(
            gettext("There is no such device or folder."),
            gettext("Check that the stick is plugged in."),
        ),
        Part::Image | Part::NewImage => said(
            gettext("The stick's compressed image is missing."),
            gettext(
                "Copy LiveOS/squashfs.img back from a stick of the same kind, or make the stick anew.",
            ),
        ),
        Part::Overlay => said(
            gettext("This stick has no overlay, so it keeps nothing that is saved on it."),
            gettext(
                "There is nothing to refresh; to keep what is saved, make the stick with an overlay.",
            ),
        ),
        Part::Scratch => said(
            gettext("The scratch folder is not there."),
            gettext("Name a folder that exists, on a disk with enough room."),
        ),
        Part::Stick | Part::Ext4 => said(
            gettext("There is no live system here."),
            gettext("Choose a live stick, or the folder that its folder LiveOS is in."),
        ),
    }
}

fn no_space(part: Part, needed: Bytes, available: Bytes) -> Said {
    let missing = needed.saturating_sub(available);
    let values = [
        ("needed", &*size(needed)),
        ("available", &*size(available)),
        ("missing", &*size(missing)),
    ];
    if part == Part::Scratch {
        return said(
            fill(
                &gettext(
                    "The scratch folder is too small: {needed} are needed, {available} are free.",
                ),
                &values,
            ),
            gettext("Name a folder on a larger disk."),
        );
    }
    if part == Part::Overlay {
        return said(
            fill(
                &gettext(
                    "The overlay is too full for that: {needed} are needed, it holds {available} altogether.",
                ),
                &values,
            ),
            gettext("Refresh the stick first, or make a new practice stick."),
        );
    }
    said(
        fill(
            &gettext(
                "There is not enough room on the stick: {needed} are needed, {available} are free.",
            ),
            &values,
        ),
        fill(
            &gettext(
                "Remove at least {missing} of files from the stick that do not belong to the live system, and try again.",
            ),
            &values,
        ),
    )
}

fn only_replacing(needed: Bytes, available: Bytes) -> Said {
    let missing = needed.saturating_sub(available);
    let values = [
        ("needed", &*size(needed)),
        ("available", &*size(available)),
        ("missing", &*size(missing)),
    ];
    said(
        fill(
            &gettext(
                "There is not enough room on the stick for a second image: {needed} are needed, {available} are free.",
            ),
            &values,
        ),
        fill(
            &gettext(
                "Remove at least {missing} of files from the stick that do not belong to the live system; or let the old image be replaced by way of a folder on another disk (--scratch DIR --replace), but until that ends the stick does not start.",
            ),
            &values,
        ),
    )
}

fn unsupported(part: Part) -> Said {
    let what = match part {
        Part::Disk => gettext("The stick is formatted in a way that is not handled."),
        Part::Image | Part::NewImage => {
            gettext("The stick's compressed image is of a kind that is not handled.")
        }
        Part::Overlay => gettext("The stick's overlay is of a kind that is not handled."),
        Part::Ext4 => gettext("The stick's root file system is of a kind that is not handled."),
        Part::Stick => gettext("This kind of stick is not handled."),
        Part::Scratch => {
            return said(
                gettext("The kernel engine cannot work here."),
                gettext("Nothing was changed; leave it out, or see in the details what it misses."),
            );
        }
    };
    said(
        what,
        gettext("Nothing was changed; the details say what was met, for a report."),
    )
}

fn damaged(part: Part) -> Said {
    match part {
        Part::Stick => said(
            gettext("The folder LiveOS holds something that does not belong there."),
            gettext(
                "Nothing was changed; the details name it, and once it is moved away you can try again.",
            ),
        ),
        Part::Disk => said(
            gettext("The stick's partitions or its file system are damaged."),
            gettext(
                "Copy what can still be read to another place, and repair or remake the stick.",
            ),
        ),
        Part::Image => said(
            gettext(
                "The stick's compressed image is damaged: not all of it can be read as it was written.",
            ),
            gettext(
                "Nothing was changed; save your files from the live system to another place, and make the stick anew.",
            ),
        ),
        Part::NewImage => said(
            gettext("The new image did not come back from the stick as it was written."),
            gettext(
                "The old image is still in its place; the stick may be worn out or not be what it claims, so use another one.",
            ),
        ),
        Part::Overlay => said(
            gettext(
                "The stick's overlay is damaged: its list contradicts itself or was marked invalid.",
            ),
            gettext("Nothing was changed; keep a copy of the stick before you try anything else."),
        ),
        Part::Ext4 => said(
            gettext("The stick's root file system is damaged."),
            gettext(
                "Start the computer from the stick once, so that it repairs itself, shut it down properly, and try again.",
            ),
        ),
        Part::Scratch => said(
            gettext("What was written to the scratch folder did not come back as it was written."),
            gettext("The stick is as it was; use another disk."),
        ),
    }
}

fn denied() -> Said {
    said(
        gettext("You are not allowed to do this."),
        gettext(
            "Run it as the administrator (sudo), or ask the person who looks after this computer.",
        ),
    )
}

/// Besides its switch: the kernel lets nobody write to a file system that contradicts itself, until it is
/// mounted anew; and by ourselves it is mounted so that a refresh that was cut can be mended.
fn read_only() -> Said {
    said(
        gettext("Nothing can be written to the stick."),
        gettext(
            "Move its little switch, if it has one, or unmount it in the file manager, leave it plugged in, and try again.",
        ),
    )
}

/// Where the computer runs from the stick that made trouble.
fn look_from_another() -> String {
    gettext(
        "Do not pull it out, for the computer runs from it: save your work to another place, shut the computer down, and look at the stick from another computer.",
    )
}

fn input_output(running: bool, source: &io::Error) -> Said {
    // What the kernel says of metadata that contradicts itself.
    if [Errno::BADMSG, Errno::UCLEAN].contains(&Errno::from_io_error(source).unwrap_or(Errno::IO)) {
        let hint = match running {
            true => look_from_another(),
            false => gettext(
                "Open it once in the file manager, which puts it in order, unmount it, and try again; if that does not help, have its file system repaired (in Disks, or by e2fsck -f).",
            ),
        };
        return said(
            gettext(
                "The stick was pulled out or cut off while it was written, and not put in order since.",
            ),
            hint,
        );
    }
    match source.kind() {
        io::ErrorKind::PermissionDenied => denied(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => said(
            gettext("There is no room left to write."),
            gettext("Remove what is not needed there, and try again."),
        ),
        io::ErrorKind::OutOfMemory => said(
            gettext("The computer has not enough memory left for this."),
            gettext("Close other programs, and try again."),
        ),
        io::ErrorKind::ReadOnlyFilesystem => read_only(),
        io::ErrorKind::NotFound => said(
            gettext("A file or folder that is needed is not there."),
            gettext("Check the name, and that the stick is still plugged in."),
        ),
        _ => {
            let hint = match running {
                true => look_from_another(),
                false => gettext(
                    "Pull it out, plug it in again and try once more; if it fails again, copy your files to another stick.",
                ),
            };
            said(gettext("The stick could not be read or written."), hint)
        }
    }
}

/// The line with what only a report needs.
pub fn details(detail: &str) -> String {
    fill(&gettext("(Details: {detail})"), &[("detail", detail)])
}

/// What a stage does.
pub fn stage(stage: Stage) -> String {
    match stage {
        Stage::Check => gettext("Checking"),
        Stage::Merge => gettext("Merging"),
        Stage::Build => gettext("Writing the image"),
        Stage::Verify => gettext("Reading it back"),
        Stage::Commit => gettext("Exchanging the images"),
        Stage::Drop => gettext("Giving space back"),
    }
}

/// How far a stage is, how fast, and how long the whole still takes.
pub fn pace(reading: &Reading) -> String {
    let mut parts = Vec::new();
    if reading.total > 0 {
        let share = reading.done as f64 * 100.0 / reading.total as f64;
        parts.push(super::figures::percent(share.floor()));
    }
    if let Some(speed) = reading.rate.filter(|_| reading.done > 0) {
        parts.push(rate(speed));
    }
    if let Some(seconds) = reading.eta_seconds.filter(|seconds| *seconds > 0) {
        parts.push(fill(
            &gettext("about {time} left"),
            &[("time", &duration(seconds))],
        ));
    }
    // Translators: between a share, a speed and a time
    parts.join(&gettext(", "))
}

/// The same as one line with a bar in it.
pub fn bar(reading: &Reading) -> String {
    const WIDTH: u64 = 30;
    let total = u128::from(reading.total.max(1));
    let full = (u128::from(reading.done) * u128::from(WIDTH) / total) as usize;
    let full = full.min(WIDTH as usize);
    let bar = "#".repeat(full) + &".".repeat(WIDTH as usize - full);
    format!("{} [{bar}] {}", stage(reading.stage), pace(reading))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_says_what_and_what_to_do() {
        use Part::{Disk, Ext4, Image, NewImage, Overlay, Scratch, Stick};
        let mut all = vec![
            Error::Busy {
                detail: String::new(),
            },
            Error::Cancelled,
            Error::Exists {
                path: "there".to_owned(),
            },
            Error::Denied {
                detail: String::new(),
            },
            Error::ReadOnly {
                detail: String::new(),
            },
            Error::Unchecked,
            Error::Unseen,
            Error::NoJournal,
            Error::Missing {
                program: "mke2fs",
                package: "e2fsprogs",
            },
            Error::FileLimit {
                needed: Bytes(5_000_000_000),
                limit: Bytes(4_294_967_295),
            },
            Error::unfinished(Error::Cancelled),
            Error::OnlyReplacing {
                needed: Bytes(900_000_000),
                available: Bytes(600_000_000),
            },
            Error::Replacing {
                file: "sugar-cellar-0.img".to_owned(),
                detail: String::new(),
            },
        ];
        for part in [Stick, Disk, Image, NewImage, Overlay, Ext4, Scratch] {
            let (needed, available) = (Bytes(900_000_000), Bytes(600_000_000));
            all.push(Error::NoSpace {
                part,
                needed,
                available,
            });
            all.push(Error::not_found(part, ""));
            all.push(Error::damaged(part, ""));
            all.push(Error::unsupported(part, ""));
            all.push(Error::refused(part, ""));
        }
        use io::ErrorKind as Kind;
        for kind in [
            Kind::Other,
            Kind::NotFound,
            Kind::PermissionDenied,
            Kind::StorageFull,
            Kind::ReadOnlyFilesystem,
        ] {
            all.push(Error::Io {
                doing: String::new(),
                source: kind.into(),
            });
        }
        for error in all {
            let said = on(false, &error);
            for sentence in [&said.what, &said.hint] {
                assert!(sentence.ends_with('.'), "{error:?}: {sentence}");
                assert!(
                    !sentence.contains(['{', '}', '\n']),
                    "{error:?}: {sentence}"
                );
                assert_eq!(
                    sentence.matches(". ").count(),
                    0,
                    "one sentence: {sentence}"
                );
            }
        }
    }

    #[test]
    fn the_computers_own_stick_is_not_pulled_out() {
        for source in [io::Error::from(Errno::IO), Errno::UCLEAN.into()] {
            let error = Error::Io {
                doing: String::new(),
                source,
            };
            let (live, other) = (error_of("live", &error), error_of("/no/such/stick", &error));
            assert_eq!(live.what, other.what);
            assert!(live.hint.starts_with("Do not pull it out"), "{live:?}");
            assert_eq!(other, on(false, &error));
        }
        // What is to be done to it while it is not mounted, neither.
        let unmounted = on(false, &Error::Unseen).hint;
        assert_ne!(error_of("live", &Error::Unseen).hint, unmounted);
        let live = error_of("live", &Error::Unchecked).hint;
        assert!(live.starts_with("Do not pull it out"), "{live}");
    }

    #[test]
    fn a_pace() {
        let mut reading = Reading {
            stage: Stage::Build,
            done: 50_000_000,
            total: 120_000_000,
            rate: Some(12e6),
            eta_seconds: Some(150),
        };
        assert_eq!(pace(&reading), "41 %, 12 MB/s, about 3 minutes left");
        let line = "Writing the image [############..................] 41 %, 12 MB/s, about 3 minutes left";
        assert_eq!(bar(&reading), line);
        reading = Reading {
            done: 0,
            total: 0,
            rate: None,
            eta_seconds: None,
            ..reading
        };
        assert_eq!(pace(&reading), "");
    }
}
