//! The loop that cuts an operation at every call, boots what is left, saves to it there,
//! and only then lets the operation run to its end.

use super::learner::Learner;
use std::sync::Arc;
use sugar_cellar::error::Result;
use sugar_cellar::storage::Folder;
use sugar_cellar::storage::fault::{Cut, FaultFolder, Random};

/// Something done to a stick that may be cut anywhere, and be done again then.
pub trait Operation {
    /// What dracut would boot of this folder: the image's bytes, decompressed, and the name
    /// of the overlay's file. `Err` where nothing would boot.
    fn boot(&self, folder: &FaultFolder) -> std::result::Result<(Arc<Vec<u8>>, String), String>;

    /// Does it, from whatever a cut left.
    fn run(&self, folder: &FaultFolder) -> Result<()>;

    /// Looks at what it was done for, after it came to its end.
    fn check_done(
        &self,
        folder: &FaultFolder,
        learner: &Learner,
    ) -> std::result::Result<(), String>;
}

/// How thoroughly to cut.
#[derive(Debug, Clone, Copy)]
pub struct Depth {
    /// States tried for each cut that leaves something undecided.
    pub seeds: u64,
    /// Things saved in between.
    pub saves: usize,
    /// Every so many states the learner fills the store up.
    pub fill_every: u64,
    /// Every so many states the second run is cut, too.
    pub again_every: u64,
    /// 1: cut after every call. More: where many writes follow one another without a sync,
    /// only after every so many of them and the last, whose states include the others'.
    pub write_every: usize,
}

impl Default for Depth {
    fn default() -> Depth {
        Depth {
            seeds: 5,
            saves: 10,
            fill_every: 13,
            again_every: 11,
            write_every: 1,
        }
    }
}

/// How many states were tried.
#[derive(Debug, Default, Clone, Copy)]
pub struct Tried {
    pub calls: usize,
    pub states: u64,
}

/// Runs `operation` on a copy of `folder`, cut at every call. Panics, saying where, at the
/// first state in which something of the learner's is lost.
pub fn cut_everywhere(
    name: &str,
    folder: &FaultFolder,
    learner: &Learner,
    operation: &dyn Operation,
    depth: Depth,
) -> Tried {
    let whole = folder.copy();
    let trouble = |at: &str, what: String| -> ! { panic!("{name}, {at}: {what}") };
    if let Err(error) = operation.run(&whole) {
        trouble("uncut", error.to_string());
    }
    if let Err(what) = done(operation, &whole, learner) {
        trouble("uncut", what);
    }
    let trace = whole.trace();
    let mut tried = Tried {
        calls: trace.len(),
        states: 0,
    };
    let mut cuts = trace.cuts().peekable();
    while let Some(cut) = cuts.next() {
        let is_write = |cut: &Cut| cut.last().starts_with("write");
        let goes_on = is_write(&cut) && cuts.peek().is_some_and(is_write);
        if goes_on && !cut.calls().is_multiple_of(depth.write_every) {
            continue;
        }
        for seed in 0..seeds(&cut, depth) {
            tried.states += 1;
            let found = cut.crash(seed);
            if let Err(what) = live_on(operation, &found, learner, depth, tried.states) {
                let at = format!(
                    "cut after call {} ({}), seed {seed}",
                    cut.calls(),
                    cut.last()
                );
                trouble(&at, what);
            }
        }
    }
    tried
}

fn seeds(cut: &Cut, depth: Depth) -> u64 {
    if cut.is_settled() { 1 } else { depth.seeds }
}

/// What happens after a cut: boot, save, boot, perhaps save all that fits, run, boot, save, boot.
fn live_on(
    operation: &dyn Operation,
    folder: &FaultFolder,
    learner: &Learner,
    depth: Depth,
    state: u64,
) -> std::result::Result<(), String> {
    let mut random = Random::new(state);
    let mut learner = learner.clone();
    use_stick(operation, folder, &mut learner, 0, &mut random).map_err(in_the("cut state"))?;
    if state.is_multiple_of(depth.fill_every) {
        fill_up(operation, &folder.copy(), &learner).map_err(in_the("cut state, filled up"))?;
    }
    // Not always: the operation must also go on from the very state that the cut left.
    let saves = match state % 4 {
        0 => 0,
        1 => depth.saves * 4,
        _ => depth.saves,
    };
    use_stick(operation, folder, &mut learner, saves, &mut random)
        .map_err(in_the("cut state, saving"))?;
    // What was found after the cut is durable now, all of it.
    Folder::sync(folder).map_err(|error| error.to_string())?;
    folder.record();
    operation
        .run(folder)
        .map_err(|error| format!("the next run: {error}"))?;
    if state.is_multiple_of(depth.again_every) {
        cut_again(operation, folder, &learner, depth.saves / 2, &mut random)?;
    }
    done(operation, folder, &learner).map_err(in_the("end of the next run"))?;
    use_stick(operation, folder, &mut learner, depth.saves, &mut random)
        .map_err(in_the("end of the next run, saving"))
}

/// One cut of the run that followed a cut.
fn cut_again(
    operation: &dyn Operation,
    folder: &FaultFolder,
    learner: &Learner,
    saves: usize,
    random: &mut Random,
) -> std::result::Result<(), String> {
    let trace = folder.trace();
    let at = random.below(trace.len() as u64 + 1) as usize;
    let Some(cut) = trace.cuts().nth(at) else {
        return Ok(());
    };
    let found = cut.crash(2 + random.below(100));
    let mut learner = learner.clone();
    use_stick(operation, &found, &mut learner, saves, random).map_err(in_the("second cut"))?;
    operation
        .run(&found)
        .map_err(|error| format!("the run after the second cut: {error}"))?;
    done(operation, &found, &learner).map_err(in_the("end after the second cut"))
}

/// Boots, finds all, saves some, boots again and finds all.
fn use_stick(
    operation: &dyn Operation,
    folder: &FaultFolder,
    learner: &mut Learner,
    saves: usize,
    random: &mut Random,
) -> std::result::Result<(), String> {
    let (image, overlay) = operation.boot(folder)?;
    let store = folder
        .open_writable(&overlay)
        .map_err(|error| format!("{overlay}: {error}"))?;
    learner.find_all(&store, &image)?;
    if saves > 0 {
        learner
            .save(&store, &image, saves, random)
            .map_err(|stop| format!("saving: {stop:?}"))?;
        learner.find_all(&store, &image)?;
    }
    Ok(())
}

fn fill_up(
    operation: &dyn Operation,
    folder: &FaultFolder,
    learner: &Learner,
) -> std::result::Result<(), String> {
    let (image, overlay) = operation.boot(folder)?;
    let store = folder.open_writable(&overlay).map_err(|e| e.to_string())?;
    let filled = learner.fill_up(&store, &image);
    filled.map_err(|stop| format!("{stop:?}"))
}

fn done(
    operation: &dyn Operation,
    folder: &FaultFolder,
    learner: &Learner,
) -> std::result::Result<(), String> {
    let mut learner = learner.clone();
    use_stick(operation, folder, &mut learner, 0, &mut Random::new(0))?;
    operation.check_done(folder, &learner)
}

fn in_the(place: &'static str) -> impl Fn(String) -> String {
    move |what| format!("{place}: {what}")
}
