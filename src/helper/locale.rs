//! The person's language.

use crate::system;

/// The name of our translations.
const DOMAIN: &str = "sugar-cellar";
/// Where an installation puts translations; set when it is built for another place.
const FOLDER: &str = match option_env!("SUGAR_CELLAR_LOCALEDIR") {
    Some(folder) => folder,
    None => "/usr/share/locale",
};

/// Chooses the person's language and their way to write numbers. To be called first of all.
///
/// Without a translation, or with a broken environment, everything is said in English.
pub fn begin() {
    system::use_locale();
    // As the gettext tools do, so that translations can be tried without installing them.
    // pkexec does not pass this on.
    let folder = std::env::var_os("TEXTDOMAINDIR").unwrap_or_else(|| FOLDER.into());
    let chosen = gettextrs::bindtextdomain(DOMAIN, folder)
        .map(|_| ())
        .and_then(|()| gettextrs::bind_textdomain_codeset(DOMAIN, "UTF-8").map(|_| ()))
        .and_then(|()| gettextrs::textdomain(DOMAIN).map(|_| ()));
    if let Err(error) = chosen {
        log::warn!("no translations: {error}");
    }
}
