//! What a refresh would do, what it needs, and why not, if not. Changes nothing.

use super::kernel::{self, Kernel};
use super::{SECOND, borrow, replace};
use crate::error::{Doing, Error, Part, Result};
use crate::ext4::{FileSystem, Finding, Replayed};
use crate::progress::Progress;
use crate::protocol::{
    self, Distrust, FreeBlocks, PlannedBlocks, PlannedImage, PlannedOverlay, PlannedSpace,
    SpaceMode,
};
use crate::sources::{IMAGE, NotFree, Sources, Target, Use};
use crate::squash::{self, Compression, Forecast, Image};
use crate::storage::{Folder, ReadAt};
use crate::units::{Bytes, Sectors};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// What the person chose.
#[derive(Debug, Clone)]
pub struct Options {
    /// The new image's compression; none keeps the old one's.
    pub compression: Option<Compression>,
    /// Leave what deleted files held as it is, instead of zeros.
    pub keep_deleted: bool,
    /// Whether a system runs from the stick: then the overlay keeps what it holds, and nothing
    /// of the image is given back.
    pub used: Use,
    /// What the overlay keeps of its unused end, where room is borrowed from there: [`super::RESERVE`].
    pub reserve: Bytes,
    /// How many threads compress and check.
    pub threads: usize,
}

impl Options {
    pub(super) fn rewrite(&self) -> squash::Options {
        squash::Options {
            threads: self.threads,
            recompress: self.compression,
            ..squash::Options::default()
        }
    }
}

/// What a refresh would do.
#[derive(Debug)]
pub struct Plan<'f, F: Folder> {
    /// The image's size, before and after.
    pub image: PlannedImage,
    /// The overlay's fill, before and after.
    pub overlay: PlannedOverlay,
    /// What is to be done to the image's blocks.
    pub blocks: PlannedBlocks,
    /// The room that it takes.
    pub space: PlannedSpace,
    /// Whether blocks of deleted files are given back.
    pub free_blocks: FreeBlocks,
    /// About how long it takes.
    pub seconds: u64,
    forecast: Forecast,
    obstacle: Option<Error>,
    ready: Ready<'f, F>,
}

/// A plan without an obstacle: the only thing that [`super::refresh`] takes.
#[derive(Debug)]
pub struct Ready<'f, F: Folder> {
    pub(super) target: Target<'f, F>,
    pub(super) options: Options,
    pub(super) sources: Sources<F::File>,
    /// The kernel engine; none for the direct one.
    pub(super) kernel: Option<Kernel>,
    /// Whether the overlay's unused end makes room for the new image meanwhile.
    pub(super) lends: bool,
    /// Where the new image is written before it replaces the old one; none where it need not.
    pub(super) scratch: Option<&'f F>,
}

impl<'f, F: Folder> Plan<'f, F> {
    /// What speaks against it; none where the refresh can begin.
    pub fn obstacle(&self) -> Option<&Error> {
        self.obstacle.as_ref()
    }

    /// Whether there is anything to do: an overlay without exceptions and the same compression
    /// leave nothing.
    pub fn is_needed(&self) -> bool {
        let Ready {
            sources, options, ..
        } = &self.ready;
        let now = sources.image.compression();
        !sources.list.is_empty() || options.compression.is_some_and(|wanted| wanted != now)
    }

    /// The same by the kernel engine, which needs room in its scratch folder, and compresses
    /// all blocks anew.
    ///
    /// How large the new image becomes is only estimated then: a stick or file system that turns
    /// out to be too small is met while it is written, and the stick stays as it was.
    pub fn by_kernel(mut self, kernel: Kernel) -> Result<Plan<'f, F>> {
        let Ready {
            target,
            sources,
            options,
            ..
        } = &self.ready;
        if options.used == Use::Running {
            let detail = "the running system's overlay cannot be merged by the kernel";
            return Err(Error::unsupported(Part::Scratch, detail));
        }
        let mut needed = kernel::scratch_needed(sources);
        if kernel.is_on(target.folder)? {
            needed += self.image.largest_bytes;
        }
        let available = kernel.available()?;
        if self.obstacle.is_none() && needed > available {
            self.obstacle = Some(Error::NoSpace {
                part: Part::Scratch,
                needed,
                available,
            });
        }
        let all = Bytes(kernel::stored_blocks(sources) * self.blocks.block_bytes.0);
        let work = usual(sources, options, all);
        self.seconds = estimate(&self.ready, &self.image, work)?;
        self.ready.kernel = Some(kernel);
        Ok(self)
    }

    /// The same, with consent: where the stick holds only one image, the new one is written to
    /// `scratch` first and then replaces the old one. A plan that needs no such thing stays as it is.
    ///
    /// # Errors
    /// Those of asking for the room there. Too little of it is a [`Plan::obstacle`].
    pub fn replacing(mut self, scratch: &'f F) -> Result<Plan<'f, F>> {
        let Some(needed) = self.space.scratch_bytes else {
            return Ok(self);
        };
        let doing = "asking for the scratch space";
        let free = scratch.free().doing(doing)?;
        let limit = scratch.file_limit().doing(doing)?;
        let available = limit.map_or(free, |limit| limit.min(free));
        self.obstacle = if !scratch.lasts().doing(doing)? {
            let detail = "the scratch folder lies in memory, which is empty after a power cut";
            Some(Error::refused(Part::Scratch, detail))
        } else if needed > available {
            Some(Error::NoSpace {
                part: Part::Scratch,
                needed,
                available,
            })
        } else {
            None
        };
        self.ready.scratch = Some(scratch);
        Ok(self)
    }

    /// With size and time as compressing a few blocks tells them, for whoever asks before it begins.
    /// The kernel engine compresses in another way: its plan stays as it is.
    ///
    /// # Errors
    /// Of reading and decompressing those blocks.
    pub fn sampled(mut self) -> Result<Plan<'f, F>> {
        let Ready {
            sources,
            options,
            kernel: None,
            ..
        } = &self.ready
        else {
            return Ok(self);
        };
        let sample = squash::sample(&sources.image, sources, &options.rewrite())?;
        if let Some(sample) = sample {
            self.image.estimated_bytes = self.forecast.with(&sample).likely;
            let work = sample.time_of(self.forecast.recoded).mul_f64(VERIFY);
            self.seconds = estimate(&self.ready, &self.image, work)?;
        }
        Ok(self)
    }

    /// Whether the root file system has a folder of modules for each of these kernels, whose
    /// versions are as `uname -r` gives them. Without one, a stick that starts it has no drivers.
    /// None is told of where that cannot be made out: a refresh does not depend on it.
    ///
    /// # Errors
    /// Those of reading, and cancelled.
    pub fn kernels(
        &self,
        versions: BTreeSet<String>,
        progress: &dyn Progress,
    ) -> Result<Vec<protocol::Kernel>> {
        if versions.is_empty() {
            return Ok(Vec::new());
        }
        match self.modules(versions, progress) {
            Err(error @ (Error::Damaged { .. } | Error::Unsupported { .. })) => {
                log::warn!("whether the kernels have their modules cannot be told: {error}");
                Ok(Vec::new())
            }
            told => told,
        }
    }

    fn modules(
        &self,
        versions: BTreeSet<String>,
        progress: &dyn Progress,
    ) -> Result<Vec<protocol::Kernel>> {
        let merged = self.ready.sources.merged()?;
        let view = Replayed::new(&merged, progress)?;
        let fs = FileSystem::open(&view)?;
        let kernel = |version: String| {
            // Where /lib is no link to /usr/lib.
            let older = fs.find(&["lib", "modules", &version], progress)?;
            let newer = fs.find(&["usr", "lib", "modules", &version], progress)?;
            Ok(protocol::Kernel {
                modules: older.or(newer).is_some_and(|inode| inode.is_folder()),
                version,
            })
        };
        versions.into_iter().map(kernel).collect()
    }

    /// What [`super::refresh`] takes; the obstacle, where there is one.
    pub fn ready(self) -> Result<Ready<'f, F>> {
        match self.obstacle {
            None => Ok(self.ready),
            Some(obstacle) => Err(obstacle),
        }
    }
}

/// Reads what is there and decides.
///
/// # Errors
/// What is damaged, unsupported, or does not belong together. Too little room is not an error
/// here but an [`Plan::obstacle`], so that the sizes can be told.
pub fn plan<'f, F: Folder>(
    target: Target<'f, F>,
    options: Options,
    progress: &dyn Progress,
) -> Result<Plan<'f, F>> {
    let sources = Sources::open(target, options.used, !options.keep_deleted, progress)?;
    let forecast = squash::forecast(&sources.image, &sources, &options.rewrite())?;
    let image = PlannedImage {
        bytes: sources.image.bytes(),
        estimated_bytes: forecast.likely,
        largest_bytes: forecast.at_most,
    };
    let blocks = PlannedBlocks {
        block_bytes: sources.image.block_bytes(),
        total: sources.image.blocks(),
        changed: forecast.changed,
        freed: forecast.zeroed,
    };
    let figures = sources.list.figures();
    let overlay = PlannedOverlay {
        used_sectors: figures.used,
        // Header and one empty area, as an empty store reads.
        after_sectors: Sectors(2 * figures.chunk.sectors().0),
        total_sectors: figures.total,
    };
    let lendable = match options.used {
        Use::AtRest => borrow::available(target, &sources.list, options.reserve)?,
        Use::Running => Bytes(0),
    };
    let (space, obstacle) = room(target.folder, image.largest_bytes, lendable, options.used)?;
    let work = usual(&sources, &options, forecast.recoded);
    let ready = Ready {
        target,
        options,
        sources,
        kernel: None,
        lends: space.mode == SpaceMode::ShortenedOverlay,
        scratch: None,
    };
    let seconds = estimate(&ready, &image, work)?;
    Ok(Plan {
        image,
        overlay,
        blocks,
        space,
        free_blocks: told(&ready.sources.free),
        seconds,
        forecast,
        obstacle,
        ready,
    })
}

/// Whether both images fit beside one another, with the overlay's unused end, `lendable`, at the worst;
/// or, of a stick at rest, at least the new one in the old one's place.
fn room<F: Folder>(
    folder: &F,
    needed: Bytes,
    lendable: Bytes,
    used: Use,
) -> Result<(PlannedSpace, Option<Error>)> {
    let free = folder.free().doing("asking for the free space")?;
    // What a cut refresh left goes first.
    let entries = folder.entries().doing("reading the folder LiveOS")?;
    let second = entries.iter().find(|entry| entry.name == SECOND);
    let available = free + second.map_or(Bytes(0), |entry| entry.bytes);
    let limit = folder
        .file_limit()
        .doing("asking for the file size limit")?;
    let most = available + lendable;
    let (mode, obstacle) = if let Some(limit) = limit.filter(|limit| needed > *limit) {
        let error = Error::FileLimit { needed, limit };
        (SpaceMode::None, Some(error))
    } else if needed <= available {
        (SpaceMode::Beside, None)
    } else if needed <= most {
        (SpaceMode::ShortenedOverlay, None)
    } else if used == Use::AtRest && needed <= replace::available(folder, available)? {
        let error = Error::OnlyReplacing {
            needed,
            available: most,
        };
        (SpaceMode::Scratch, Some(error))
    } else {
        let error = Error::NoSpace {
            part: Part::Stick,
            needed,
            available: most,
        };
        (SpaceMode::None, Some(error))
    };
    let space = PlannedSpace {
        mode,
        needed_bytes: needed,
        available_bytes: available,
        file_limit_bytes: limit,
        scratch_bytes: (mode == SpaceMode::Scratch).then_some(needed),
    };
    Ok((space, obstacle))
}

/// How much is read to learn how fast the stick is, in bytes, at how many places.
const SAMPLE_BYTES: usize = 1 << 20;
const SAMPLES: u64 = 4;

/// What verifying adds: it decompresses each block twice more.
const VERIFY: f64 = 1.3;

/// What compressing `plain` bytes, and checking them, usually takes on one core.
fn usual(sources: &Sources<impl ReadAt>, options: &Options, plain: Bytes) -> Duration {
    let compression = options.compression.unwrap_or(sources.image.compression());
    // Milliseconds for 128 KiB.
    let milliseconds = match compression {
        Compression::Xz => 14.0,
        Compression::Gzip => 8.0,
        Compression::Zstd => 6.0,
        Compression::Lzo | Compression::Lz4 => 3.0,
    };
    let blocks = plain.0 as f64 / f64::from(128 << 10);
    Duration::from_secs_f64(blocks * milliseconds / 1000.0)
}

/// Seconds, from the stick's speed as measured now, and the work for one core.
fn estimate<F: Folder>(ready: &Ready<'_, F>, image: &PlannedImage, work: Duration) -> Result<u64> {
    let rate = read_rate(ready.target.folder, &ready.sources.image)?;
    // Flash writes at about half the speed that it reads at.
    let bytes = image.estimated_bytes.0 as f64;
    let device = bytes * 2.0 / rate + bytes / rate;
    let work = work.as_secs_f64() / ready.options.threads.max(1) as f64;
    Ok((work + device).ceil() as u64)
}

/// Bytes a second, from the device.
fn read_rate<F: Folder>(folder: &F, image: &Image) -> Result<f64> {
    let file = folder.open_uncached(IMAGE).doing("opening the image")?;
    let mut sample = vec![0; SAMPLE_BYTES.min(image.bytes().0 as usize)];
    let start = Instant::now();
    let last = image.bytes().0 - sample.len() as u64;
    for index in 0..SAMPLES {
        file.read_at(&mut sample, last / SAMPLES * index)
            .doing("reading the image")?;
    }
    let seconds = start.elapsed().as_secs_f64().max(1e-4);
    Ok((SAMPLES * sample.len() as u64) as f64 / seconds)
}

fn told(free: &std::result::Result<crate::ext4::FreeBlocks, NotFree>) -> FreeBlocks {
    let (reason, detail) = match free {
        Ok(_) => (None, None),
        Err(NotFree::Running) => (Some(Distrust::Live), None),
        Err(NotFree::NotWanted) => (Some(Distrust::NotWanted), None),
        Err(NotFree::NotTrusted(finding)) => (Some(distrust(finding)), Some(finding.to_string())),
    };
    FreeBlocks {
        trusted: free.is_ok(),
        reason,
        detail,
    }
}

fn distrust(finding: &Finding) -> Distrust {
    match finding {
        Finding::NeedsRecovery | Finding::NotClean | Finding::Orphans => Distrust::NotClean,
        Finding::Unsupported(_) | Finding::NoJournal => Distrust::Unsupported,
        _ => Distrust::Errors,
    }
}
