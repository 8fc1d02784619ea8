//! Goes through the states that a cut may leave of what was recorded.

use super::cases::{self, Case, Found};
use super::states::Recording;
use crate::harness::run;
use crate::model::learner::Learner;
use rustix::io::Errno;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, RwLock};
use std::thread;
use sugar_cellar::error::{Error, Part};
use sugar_cellar::refresh::SECOND;
use sugar_cellar::sources::{IMAGE, Target};
use sugar_cellar::squash::Image;
use sugar_cellar::status;
use sugar_cellar::stick::layout::NOTE;
use sugar_cellar::stick::{Access, Stick, note};
use sugar_cellar::storage::fault::Random;
use sugar_cellar::storage::{DiskFolder, Folder, ReadAt};

/// EBADMSG and EUCLEAN: a checksum is wrong, or metadata contradicts itself.
const TORN: [Errno; 2] = [Errno::BADMSG, Errno::UCLEAN];

/// Cuts every command that was recorded on a stick of `format`, by what is in `folder`, several at once; tells how often.
///
/// # Panics
/// Where anything is lost.
pub fn all(folder: &Path, format: &str, wanted: usize) -> String {
    let cases = Mutex::new(Case::all().filter(|case| case.format == format));
    let told = Mutex::new(String::new());
    let one_thread = || {
        loop {
            // Not held while the case is tried.
            let case = cases.lock().unwrap().next();
            let Some(case) = case else { return };
            let line = cut(folder, &case, wanted);
            *told.lock().unwrap() += &line;
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().unwrap().get() {
            scope.spawn(one_thread);
        }
    });
    told.into_inner().unwrap()
}

/// Cuts one command; a line about it.
fn cut(folder: &Path, case: &Case, wanted: usize) -> String {
    let name = case.name();
    let recording = Recording::read(folder, case);
    let learner = cases::learner(folder);
    let chosen = recording.choose(wanted);
    let place = tempfile::tempdir().unwrap();
    let stick = place.path().join("stick");
    let (mut shared, mut stopped, mut mended, mut torn) = (0, 0, 0, 0);
    for (number, &(calls, seed)) in chosen.iter().enumerate() {
        let (state, scratch) = recording.state(calls, seed);
        put(&stick, &state);
        let known = format!("{name}, after request {calls}, seed {seed}");
        match mend(&stick, case, &learner) {
            Ok(None) => {}
            Ok(Some(started)) => {
                mended += 1;
                torn += u64::from(!started);
            }
            Err(what) => panic!("{known}: {what}"),
        }
        let scratch = (!scratch.is_empty()).then(|| Scratch::mount(place.path(), &scratch));
        let scratch = scratch.as_ref();
        match live_on(&stick, scratch, case, &learner, number as u64) {
            Ok(Lived::On) => {}
            Ok(Lived::WithSharedChain) => shared += 1,
            Ok(Lived::WithoutImage) => stopped += 1,
            Err(what) => panic!("{known}: {what}"),
        }
    }
    format!(
        "cut: {name}: {} requests, {} states, {shared} with two names for one image, {stopped} that did not start, {mended} mended by e2fsck, {torn} of them so as to start\n",
        recording.requests.len(),
        chosen.len()
    )
}

/// The disk with the scratch folder, mounted.
struct Scratch(PathBuf);

impl Scratch {
    fn mount(place: &Path, disk: &[u8]) -> Scratch {
        let (file, folder) = (place.join("scratch-disk"), place.join("scratch"));
        put(&file, disk);
        fs::create_dir_all(&folder).unwrap();
        let _alone = OPEN.write().unwrap();
        run(Command::new("mount")
            .args(["-o", "loop"])
            .args([&file, &folder]));
        Scratch(folder)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _alone = OPEN.write().unwrap();
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

/// Puts it there without what is zero: most of a stick is.
fn put(stick: &Path, state: &[u8]) {
    const PIECE: usize = 64 << 10;
    let file = File::create(stick).unwrap();
    file.set_len(state.len() as u64).unwrap();
    for (number, piece) in state.chunks(PIECE).enumerate() {
        if piece != &[0; PIECE][..piece.len()] {
            file.write_all_at(piece, (number * PIECE) as u64).unwrap();
        }
    }
}

/// Held alone by who begins a program: until that has begun, it holds the locks of all sticks that are
/// open in other threads.
static OPEN: RwLock<()> = RwLock::new(());

/// What ext4 itself does not promise, and its checker mends. Its own superblock and its journal's are longer
/// than a sector, and torn, they are not mounted. Without a journal, a folder may be torn as well; what starts
/// has everything, but we write nothing to it before it was checked.
///
/// Gives whether it started before, if it was mended.
fn mend(stick: &Path, case: &Case, learner: &Learner) -> std::result::Result<Option<bool>, String> {
    let opened = {
        let _open = OPEN.read().unwrap();
        Stick::open(stick, Access::Write).map(drop)
    };
    let (started, ends) = match opened {
        Err(Error::Damaged { part, detail })
            if part == Part::Disk && detail.contains("ext4: Bad message") =>
        {
            // Errors were corrected.
            (false, 1..=1)
        }
        Err(Error::Unchecked) if case.has_no_journal() => {
            let _open = OPEN.read().unwrap();
            let started = match starts_unchecked(stick, case, learner) {
                Ok(()) => true,
                Err(what) if TORN.iter().any(|torn| what.contains(&torn.to_string())) => false,
                Err(what) => return Err(format!("not yet checked: {what}")),
            };
            (started, 0..=1)
        }
        _ => return Ok(None),
    };
    let _alone = OPEN.write().unwrap();
    let checked = Command::new("e2fsck").arg("-fy").arg(stick).output();
    let ended = checked.unwrap().status.code().unwrap();
    assert!(ends.contains(&ended), "e2fsck ended with {ended}");
    Ok(Some(started))
}

fn starts_unchecked(
    stick: &Path,
    case: &Case,
    learner: &Learner,
) -> std::result::Result<(), String> {
    let stick = Stick::open(stick, Access::Read).map_err(|error| error.to_string())?;
    let target = Target {
        folder: stick.folder(),
        overlay: &case.overlay(),
    };
    if note::image_is_gone(target.folder).map_err(|error| error.to_string())? {
        return Ok(());
    }
    use_stick(target, &mut learner.clone(), 0, &mut Random::new(0))
}

/// How a stick was found that has everything.
enum Lived {
    On,
    /// FAT has two names for one image: said, nothing touched.
    WithSharedChain,
    /// Its image was half replaced, and the scratch folder has the rest.
    WithoutImage,
}

/// What happens after a cut: mounted, all found, saved to, the next run, all found.
fn live_on(
    stick: &Path,
    scratch: Option<&Scratch>,
    case: &Case,
    learner: &Learner,
    seed: u64,
) -> std::result::Result<Lived, String> {
    let _open = OPEN.read().unwrap();
    let mut learner = learner.clone();
    let mut random = Random::new(seed);
    match Stick::open(stick, Access::Read).and_then(|stick| status::look(&stick)) {
        Ok(_) | Err(Error::Replacing { .. }) => {}
        // Torn metadata, which ext4's journal mends as soon as anybody mounts the stick to write.
        Err(Error::Io { source, .. })
            if Errno::from_io_error(&source).is_some_and(|errno| TORN.contains(&errno)) => {}
        Err(error) => return Err(format!("looking: {error}")),
    }
    let stick = Stick::open(stick, Access::Write).map_err(|error| format!("opening: {error}"))?;
    let folder = stick.folder();
    let overlay = case.overlay();
    let target = Target {
        folder,
        overlay: &overlay,
    };
    let starts = !note::image_is_gone(folder).map_err(|error| error.to_string())?;
    if starts {
        use_stick(target, &mut learner, 0, &mut random)
            .map_err(|what| format!("booted: {what}"))?;
    }
    if starts && !seed.is_multiple_of(3) {
        use_stick(target, &mut learner, 6, &mut random).map_err(|what| format!("saved: {what}"))?;
        folder.sync().unwrap();
    }
    // What starts needs nothing of the scratch folder: that may be lost.
    let scratch = scratch.map(|Scratch(folder)| match starts && seed.is_multiple_of(2) {
        true => tempfile::tempdir_in(folder).unwrap().keep(),
        false => folder.clone(),
    });
    let scratch = scratch.map(|folder| DiskFolder::private(&folder).unwrap());
    let found = Found {
        stick: &stick,
        target,
        scratch: scratch.as_ref(),
    };
    match (case.operation.next)(&found) {
        Err(Error::Damaged {
            part: Part::Disk, ..
        }) if stick.file_system() == "vfat" => {
            use_stick(target, &mut learner, 6, &mut random)
                .map_err(|what| format!("refused: {what}"))?;
            return Ok(Lived::WithSharedChain);
        }
        other => other.map_err(|error| format!("the next run: {error}"))?,
    }
    use_stick(target, &mut learner, 6, &mut random)
        .map_err(|what| format!("afterwards: {what}"))?;
    if folder.open(SECOND).is_ok() {
        return Err("a second image is left".to_owned());
    }
    if folder.open(NOTE).is_ok() {
        return Err("a note is left".to_owned());
    }
    for entry in scratch
        .iter()
        .flat_map(|scratch| scratch.entries().unwrap())
    {
        if entry.name.ends_with(".img") {
            return Err(format!("{} is left in the scratch folder", entry.name));
        }
    }
    Ok(match starts {
        true => Lived::On,
        false => Lived::WithoutImage,
    })
}

/// Boots, so to speak: finds all, saves some, finds all.
fn use_stick(
    target: Target<'_, DiskFolder>,
    learner: &mut Learner,
    saves: usize,
    random: &mut Random,
) -> std::result::Result<(), String> {
    let file = target
        .folder
        .open(IMAGE)
        .map_err(|error| format!("{IMAGE}: {error}"))?;
    let image = Image::open(Arc::new(file)).map_err(|error| error.to_string())?;
    let mut inner = vec![0; image.inner_bytes().0 as usize];
    image
        .reader(4)
        .read_at(&mut inner, 0)
        .map_err(|error| error.to_string())?;
    let store = match saves {
        0 => target.folder.open(target.overlay),
        _ => target.folder.open_writable(target.overlay),
    };
    let store = store.map_err(|error| error.to_string())?;
    learner.find_all(&store, &inner)?;
    if saves > 0 {
        learner
            .save(&store, &inner, saves, random)
            .map_err(|stop| format!("{stop:?}"))?;
        learner.find_all(&store, &inner)?;
    }
    Ok(())
}
