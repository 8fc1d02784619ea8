//! What may go, in words: what it is, and what is lost with it.

use crate::words::fill;
use gettextrs::gettext;
use sugar_cellar::protocol::Clutter;

/// How large it is, what it is, and what it costs to lose it.
pub fn sentence(clutter: Clutter, size: &str) -> String {
    let text = match clutter {
        Clutter::Caches => gettext(
            "{size}. What programs keep to be quicker; they make it again, and are slower until then.",
        ),
        Clutter::Thumbnails => {
            gettext("{size}. Small pictures of your files; they are made again when you look.")
        }
        Clutter::Trash => {
            gettext("{size}. Files that somebody threw away: look into the trash first.")
        }
        Clutter::Logs => gettext(
            "{size}. What the system noted on earlier days; only whoever looks for a fault needs it.",
        ),
        Clutter::Crashes => gettext(
            "{size}. What was kept of programs that crashed; only whoever mends them needs it.",
        ),
        Clutter::Packages => gettext(
            "{size}. Programs that were downloaded and are installed; the next update downloads its lists again.",
        ),
    };
    fill(&text, &[("size", size)])
}
