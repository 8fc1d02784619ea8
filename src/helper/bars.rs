//! The bars on a terminal, one a job, and words that come between them.

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// All bars, at the end of what stands on standard error.
#[derive(Debug)]
pub struct Bars(Mutex<MultiProgress>);

impl Bars {
    /// No bar yet.
    pub fn new() -> Bars {
        let target = ProgressDrawTarget::stderr_with_hz(5);
        Bars(Mutex::new(MultiProgress::with_draw_target(target)))
    }

    /// One more bar, below the others.
    pub fn add(&self) -> ProgressBar {
        let bar = self.lock().add(ProgressBar::no_length());
        // One line each, cut where the terminal ends. The template is ours and right; without it the
        // line would only look plainer.
        if let Ok(style) = ProgressStyle::with_template("{wide_msg}") {
            bar.set_style(style);
        }
        bar
    }

    /// What a bar says now.
    pub fn show(&self, bar: &ProgressBar, text: String) {
        let _drawn = self.lock();
        // One message at once: several settings would be drawn one by one.
        bar.set_message(text);
        bar.tick();
    }

    /// Takes a bar away.
    pub fn end(&self, bar: &ProgressBar) {
        let bars = self.lock();
        bar.finish_and_clear();
        bars.remove(bar);
    }

    /// Writes something else where the bars stand. They are there again when one of them is shown next.
    pub fn aside<T>(&self, write: impl FnOnce() -> T) -> T {
        let bars = self.lock();
        // A terminal that is gone shows nothing; the words may go elsewhere.
        if let Err(error) = bars.clear() {
            log::info!("clearing the bars: {error}");
        }
        write()
    }

    /// Held while anything is drawn or written.
    fn lock(&self) -> MutexGuard<'_, MultiProgress> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
