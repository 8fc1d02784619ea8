//! What can go wrong, sorted by what the person at the stick can do next.
//!
//! The library says *what* in types; the helper makes one sentence what
//! and one sentence what to do of it, in the person's language.

use crate::units::Bytes;
use serde::{Deserialize, Serialize};
use std::io;

/// The result of everything that may fail here.
pub type Result<T> = std::result::Result<T, Error>;

/// A kind of failure for programs: the `code` of a `failed` event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// There is no such stick, or it holds no live system.
    NotFound,
    /// There is not enough room; nothing was changed.
    NoSpace,
    /// A layout or feature that is not handled; nothing was changed.
    Unsupported,
    /// What was read from the stick contradicts itself.
    Damaged,
    /// Somebody else uses the stick, its image or its overlay.
    Busy,
    /// The person at the stick asked for an end.
    Cancelled,
    /// The device or the file system reported an error.
    Io,
    /// The system does not allow it.
    Denied,
    /// Refused for a reason that the plan names.
    Refused,
    /// A program that is needed is not installed.
    Missing,
    /// The image was being replaced when that was cut; the next refresh with the same scratch folder
    /// completes it, and until then the stick does not start.
    Interrupted,
}

/// The part of a stick that an error or a finding speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// The folder LiveOS and its names.
    Stick,
    /// A partition table or the stick's own file system.
    Disk,
    /// The compressed image.
    Image,
    /// The new image that was just written.
    NewImage,
    /// The overlay: a persistent exception store.
    Overlay,
    /// The ext4 file system inside the image, as the overlay changes it.
    Ext4,
    /// Scratch space outside the stick.
    Scratch,
}

/// What went wrong.
///
/// `detail` is technical, in English, for a report; it never is the only thing a person is told.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No live system, no overlay, or no such path.
    #[error("not found: {detail}")]
    NotFound {
        /// What was looked for.
        part: Part,
        /// Technical detail.
        detail: String,
    },
    /// Not enough room on the stick (or in the scratch folder).
    #[error("no space: {needed} bytes needed, {available} there")]
    NoSpace {
        /// Where room is missing.
        part: Part,
        /// Needed altogether.
        needed: Bytes,
        /// There now.
        available: Bytes,
    },
    /// The stick holds only one image: the new one would have to be written elsewhere first, and then
    /// replace the old one. Nobody agreed to that.
    #[error("no space for a second image: {needed} bytes needed, {available} there")]
    OnlyReplacing {
        /// Needed for both beside one another.
        needed: Bytes,
        /// There now.
        available: Bytes,
    },
    /// A file would outgrow what the stick's file system can hold in one file.
    #[error("file too large: {needed} bytes, the file system's limit is {limit}")]
    FileLimit {
        /// An upper bound of what the file would take.
        needed: Bytes,
        /// What the file system allows.
        limit: Bytes,
    },
    /// Recognised, and not handled.
    #[error("unsupported: {detail}")]
    Unsupported {
        /// Where.
        part: Part,
        /// Technical detail.
        detail: String,
    },
    /// Read, and contradicting itself or its format.
    #[error("damaged: {detail}")]
    Damaged {
        /// Where.
        part: Part,
        /// Technical detail.
        detail: String,
    },
    /// In use by somebody else.
    #[error("busy: {detail}")]
    Busy {
        /// Who holds what.
        detail: String,
    },
    /// Refused though possible: doing it would break the promise, or the answer was no.
    #[error("refused: {detail}")]
    Refused {
        /// Where.
        part: Part,
        /// Technical detail.
        detail: String,
    },
    /// The running system's stick was refreshed, and is finished when it shuts down.
    #[error("the last refresh of the running system's stick waits for the shutdown")]
    Waiting,
    /// The stick is not the one that was meant; nothing was changed.
    #[error("the file system's UUID is {found}, not {expected}")]
    Another {
        /// The UUID that was asked for.
        expected: String,
        /// The one that is there, or that it is unknown.
        found: String,
    },
    /// Something lies already where something new was to be made.
    #[error("exists and is not empty: {path}")]
    Exists {
        /// Where.
        path: String,
    },
    /// Ended on request; the stick is as it was.
    #[error("cancelled")]
    Cancelled,
    /// The system does not allow it.
    #[error("denied: {detail}")]
    Denied {
        /// What.
        detail: String,
    },
    /// The stick is mounted read-only or write-protected.
    #[error("read-only: {detail}")]
    ReadOnly {
        /// What says so.
        detail: String,
    },
    /// The stick's ext4 noted an error, or was cut off and has no journal, and its checker has not been over
    /// it since: what it takes for free may be in use.
    #[error("the stick's file system has to be checked (e2fsck) before it is written")]
    Unchecked,
    /// The stick's ext4 has no journal and is mounted: whether it was left in order cannot be seen any more.
    #[error("without a journal, it cannot be seen of a mounted ext4 whether it is in order")]
    Unseen,
    /// A file of the stick was to become longer, and its ext4 has no journal: where that takes a new block for
    /// the list of the file's blocks, a cut may leave it without the old list and the new one.
    #[error("no file may become longer on an ext4 without a journal")]
    NoJournal,
    /// A program that is needed is not installed.
    #[error("{program} is not installed")]
    Missing {
        /// Its name.
        program: &'static str,
        /// The package that brings it, as Debian and Fedora call it.
        package: &'static str,
    },
    /// An input or output error, with what was being done.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done, as a gerund phrase ("reading the overlay").
        doing: String,
        /// The system's own error.
        source: io::Error,
    },
    /// A failure after the exchange: the image is the new one, nothing is lost, and the next
    /// run completes the rest.
    #[error("not finished: {0}")]
    Unfinished(Box<Error>),
    /// The stick cannot be read as it is, for a refresh was cut here; the next one puts it right.
    #[error("a refresh was cut: {0}")]
    Cut(Box<Error>),
    /// The image is being replaced, and what lies on the stick is neither the old one nor the new one.
    /// The new one is whole, in the scratch folder.
    #[error("the image is being replaced by {file}: {detail}")]
    Replacing {
        /// The new image's file in the scratch folder.
        file: String,
        /// Technical detail.
        detail: String,
    },
    /// A failure, and a second one while tidying up after it.
    #[error("{first}; then, while undoing: {second}")]
    Undo {
        /// The cause.
        first: Box<Error>,
        /// What went wrong while tidying up.
        second: Box<Error>,
    },
}

impl Error {
    /// Something read from the stick contradicts its format.
    pub fn damaged(part: Part, detail: impl Into<String>) -> Error {
        Error::Damaged {
            part,
            detail: detail.into(),
        }
    }

    /// Something recognised is not handled.
    pub fn unsupported(part: Part, detail: impl Into<String>) -> Error {
        Error::Unsupported {
            part,
            detail: detail.into(),
        }
    }

    /// Something is refused though it could be done.
    pub fn refused(part: Part, detail: impl Into<String>) -> Error {
        Error::Refused {
            part,
            detail: detail.into(),
        }
    }

    /// Something is missing.
    pub fn not_found(part: Part, detail: impl Into<String>) -> Error {
        Error::NotFound {
            part,
            detail: detail.into(),
        }
    }

    /// The refresh got past the exchange, and then met `cause`.
    pub fn unfinished(cause: Error) -> Error {
        Error::Unfinished(Box::new(cause))
    }

    /// The kind, for programs.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Error::NotFound { .. } => ErrorKind::NotFound,
            Error::NoSpace { .. } | Error::OnlyReplacing { .. } | Error::FileLimit { .. } => {
                ErrorKind::NoSpace
            }
            Error::Unsupported { .. } | Error::NoJournal => ErrorKind::Unsupported,
            Error::Damaged { .. } | Error::Unchecked => ErrorKind::Damaged,
            Error::Busy { .. } | Error::Unseen => ErrorKind::Busy,
            Error::Refused { .. }
            | Error::Waiting
            | Error::Another { .. }
            | Error::Exists { .. } => ErrorKind::Refused,
            Error::Cancelled => ErrorKind::Cancelled,
            Error::Denied { .. } | Error::ReadOnly { .. } => ErrorKind::Denied,
            Error::Missing { .. } => ErrorKind::Missing,
            Error::Io { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::NoSpace,
                io::ErrorKind::PermissionDenied => ErrorKind::Denied,
                _ => ErrorKind::Io,
            },
            Error::Replacing { .. } => ErrorKind::Interrupted,
            Error::Undo { first, .. } => first.kind(),
            Error::Unfinished(cause) | Error::Cut(cause) => cause.kind(),
        }
    }
}

/// Says what was being done when an input or output call failed.
pub trait Doing<T> {
    /// `doing` is a gerund phrase: "reading the overlay".
    fn doing(self, doing: impl Into<String>) -> Result<T>;
}

impl<T> Doing<T> for io::Result<T> {
    /// What a reader of ours wrapped to get it through [`io::Error`] (damage in an image, say)
    /// comes out as it was: it is no failure of the device.
    fn doing(self, doing: impl Into<String>) -> Result<T> {
        self.map_err(|source| match source.downcast::<Error>() {
            Ok(error) => error,
            Err(source) => Error::Io {
                doing: doing.into(),
                source,
            },
        })
    }
}

impl<T> Doing<T> for rustix::io::Result<T> {
    fn doing(self, doing: impl Into<String>) -> Result<T> {
        self.map_err(io::Error::from).doing(doing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_stays_damage_on_its_way_through_a_reader() {
        let damage = Error::damaged(Part::Image, "a block");
        let through: io::Result<()> = Err(io::Error::new(io::ErrorKind::InvalidData, damage));
        let error = through.doing("reading the image").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Damaged);
        let device: io::Result<()> = Err(io::Error::other("the device is gone"));
        let error = device.doing("reading the image").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io);
    }
}
