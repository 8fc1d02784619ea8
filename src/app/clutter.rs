//! What may go, in words: what it is, and what is lost with it.

use crate::words::fill;
use gettextrs::gettext;
use sugar_cellar::protocol::Clutter;

/// The word that the command line and the protocol have for it.
pub fn word(clutter: Clutter) -> &'static str {
    match clutter {
        Clutter::Caches => "caches",
        Clutter::Thumbnails => "thumbnails",
        Clutter::Trash => "trash",
        Clutter::Logs => "logs",
        Clutter::Crashes => "crashes",
        Clutter::Packages => "packages",
    }
}

/// What a word stands for.
pub fn of(word: &str) -> Option<Clutter> {
    Clutter::ALL
        .into_iter()
        .find(|one| self::word(*one) == word)
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_the_protocols() {
        for clutter in Clutter::ALL {
            let word = serde_json::to_value(clutter).unwrap();
            assert_eq!(word, self::word(clutter));
            assert_eq!(of(self::word(clutter)), Some(clutter));
        }
        assert_eq!(of("everything"), None);
    }
}
