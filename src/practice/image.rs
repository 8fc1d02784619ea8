//! The compressed image, written and read back by a library that is not our own writer.

use super::sparse::SparseReader;
use crate::error::{Doing, Error, Part, Result};
use crate::progress::Progress;
use crate::protocol::Stage;
use backhand::compression::{CompressionOptions, Compressor, Lz4};
use backhand::{
    BackhandError, CompressionExtra, ExtraXz, FilesystemCompressor, FilesystemReader,
    FilesystemWriter, InnerNode, NodeHeader,
};
use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read};
use std::str::FromStr;

/// The ext4's path in the image, as newer live sticks have it.
pub const INNER: &str = "LiveOS/rootfs.img";
/// xz's preset for a practice image: a third of the time of the usual 6, one part in a hundred larger.
const XZ_PRESET: u32 = 2;

/// How a practice image is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    /// As live sticks are.
    #[default]
    Xz,
    /// As the oldest ones were.
    Gzip,
    /// As some newer ones are.
    Zstd,
    /// Seldom met. (LZO, the fifth that the kernel reads, is not among what the library writes.)
    Lz4,
}

impl Compression {
    /// All of them.
    pub const ALL: [Compression; 4] = [
        Compression::Xz,
        Compression::Gzip,
        Compression::Zstd,
        Compression::Lz4,
    ];
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Compression::Xz => "xz",
            Compression::Gzip => "gzip",
            Compression::Zstd => "zstd",
            Compression::Lz4 => "lz4",
        })
    }
}

impl FromStr for Compression {
    type Err = String;

    fn from_str(name: &str) -> std::result::Result<Compression, String> {
        let found = Compression::ALL
            .into_iter()
            .find(|one| one.to_string() == name);
        found.ok_or_else(|| "one of xz, gzip, zstd, lz4".to_owned())
    }
}

/// Writes a SquashFS that holds `inner` as [`INNER`] to `out`.
pub fn write(
    inner: &File,
    compression: Compression,
    time: u64,
    out: &File,
    progress: &dyn Progress,
) -> Result<()> {
    let watched = Watched {
        inner: SparseReader::new(inner).doing("reading the practice image")?,
        progress,
    };
    let time = u32::try_from(time).unwrap_or(u32::MAX);
    let mut writer = FilesystemWriter::default();
    writer.set_time(time);
    writer.set_only_root_id();
    writer.set_root_mode(0o755);
    let header = |permissions| NodeHeader::new(permissions, 0, 0, time);
    let written = compressor(compression)
        .and_then(|compressor| {
            writer.set_compressor(compressor);
            writer.push_dir("LiveOS", header(0o755))?;
            writer.push_file(watched, INNER, header(0o644))?;
            writer.write(BufWriter::new(out))
        })
        .map(|_| ());
    // A cancelled read reaches us as an input error of the library's.
    progress.check()?;
    written.map_err(|error| wrong("writing the compressed image", error))
}

fn compressor(
    compression: Compression,
) -> std::result::Result<FilesystemCompressor, BackhandError> {
    let (id, options) = match compression {
        Compression::Xz => (Compressor::Xz, None),
        Compression::Gzip => (Compressor::Gzip, None),
        Compression::Zstd => (Compressor::Zstd, None),
        Compression::Lz4 => {
            let options = Lz4 {
                version: 1,
                flags: 0,
            };
            (Compressor::Lz4, Some(CompressionOptions::Lz4(options)))
        }
    };
    let mut compressor = FilesystemCompressor::new(id, options)?;
    if compression == Compression::Xz {
        let mut extra = ExtraXz::default();
        extra.level(XZ_PRESET)?;
        compressor.extra(CompressionExtra::Xz(extra))?;
    }
    Ok(compressor)
}

/// Reads the image back and compares what it holds with `inner`, byte for byte.
pub fn verify(image: File, inner: &File, progress: &dyn Progress) -> Result<()> {
    let doing = "reading the compressed image back";
    let reader = FilesystemReader::from_reader(BufReader::new(image))
        .map_err(|error| wrong(doing, error))?;
    let node = reader.files().find(|node| node.fullpath.ends_with(INNER));
    let Some(InnerNode::File(file)) = node.map(|node| &node.inner) else {
        return Err(Error::damaged(
            Part::Image,
            "the inner file is not in the image",
        ));
    };
    let mut got = reader.file(file).reader();
    let mut want = SparseReader::new(inner).doing(doing)?;
    let total = want.length();
    let (mut ours, mut theirs) = (vec![0; BUFFER], vec![0; BUFFER]);
    let mut done = 0;
    while done < total {
        progress.check()?;
        let length = BUFFER.min((total - done) as usize);
        want.read_exact(&mut ours[..length]).doing(doing)?;
        got.read_exact(&mut theirs[..length]).doing(doing)?;
        if ours[..length] != theirs[..length] {
            return Err(Error::damaged(
                Part::Image,
                "the image does not hold what was written",
            ));
        }
        done += length as u64;
        let (fetched, stored) = want.progress().doing(doing)?;
        progress.step(Stage::Verify, fetched, stored);
    }
    if got.read(&mut theirs).doing(doing)? != 0 {
        return Err(Error::damaged(
            Part::Image,
            "the image holds more than was written",
        ));
    }
    Ok(())
}

const BUFFER: usize = 1 << 20;

fn wrong(doing: &str, error: BackhandError) -> Error {
    Error::Io {
        doing: doing.to_owned(),
        source: io::Error::other(error),
    }
}

/// A reader that tells how far it is, and ends when asked to.
struct Watched<'a> {
    inner: SparseReader<'a>,
    progress: &'a dyn Progress,
}

impl Read for Watched<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.progress.cancelled() {
            return Err(io::Error::other("cancelled"));
        }
        let got = self.inner.read(buffer)?;
        let (done, total) = self.inner.progress()?;
        self.progress.step(Stage::Build, done, total);
        Ok(got)
    }
}
