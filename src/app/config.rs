//! Names and places. A build by meson says where things are installed; plain cargo has defaults.

use std::env;
use std::path::PathBuf;

/// The application's id: bus name, desktop file, icon, settings.
pub const APP_ID: &str = "org.sugarlabs.SugarCellar";
/// Where the resources lie.
pub const RESOURCES: &str = "/org/sugarlabs/SugarCellar";
/// The package's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The helper's name.
pub const HELPER: &str = "sugar-cellar-helper";
/// Compiled settings schemas of a build by cargo alone.
pub const SCHEMAS: &str = concat!(env!("OUT_DIR"), "/schemas");

/// The helper's program: named by the environment, beside this program, or where it was installed.
pub fn helper() -> PathBuf {
    if let Some(named) = env::var_os("SUGAR_CELLAR_HELPER") {
        return named.into();
    }
    let beside = env::current_exe()
        .ok()
        .and_then(|path| Some(path.parent()?.join(HELPER)))
        .filter(|path| path.exists());
    let installed =
        || option_env!("SUGAR_CELLAR_BINDIR").map(|dir| PathBuf::from(dir).join(HELPER));
    beside.or_else(installed).unwrap_or_else(|| HELPER.into())
}
