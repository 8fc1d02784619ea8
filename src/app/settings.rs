//! What the window remembers: its size.

use crate::config;
use adw::prelude::*;
use gtk::{gio, glib};

/// The settings: installed, or those of a build by cargo; none where neither is there.
pub fn open() -> Option<gio::Settings> {
    let installed = gio::SettingsSchemaSource::default();
    let schema = installed
        .as_ref()
        .and_then(|source| source.lookup(config::APP_ID, true))
        .or_else(|| {
            let built = gio::SettingsSchemaSource::from_directory(
                config::SCHEMAS,
                installed.as_ref(),
                false,
            );
            built.ok()?.lookup(config::APP_ID, false)
        })?;
    Some(gio::Settings::new_full(
        &schema,
        None::<&gio::SettingsBackend>,
        None,
    ))
}

/// Gives the window its last size, and keeps the next one.
pub fn remember(window: &impl IsA<glib::Object>) {
    let Some(settings) = open() else { return };
    settings
        .bind("window-width", window, "default-width")
        .build();
    settings
        .bind("window-height", window, "default-height")
        .build();
    settings
        .bind("window-maximized", window, "maximized")
        .build();
}
