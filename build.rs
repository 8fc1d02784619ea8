//! Compiles the window's resources and settings schema, for a build with the window.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if env::var_os("CARGO_FEATURE_GUI").is_none() {
        return;
    }
    for variable in ["SUGAR_CELLAR_LOCALEDIR", "SUGAR_CELLAR_BINDIR"] {
        println!("cargo::rerun-if-env-changed={variable}");
    }
    for source in [
        "data/sugar-cellar.gresource.xml",
        "data/style.css",
        "data/ui",
        "data/icons",
    ] {
        println!("cargo::rerun-if-changed={source}");
    }
    println!("cargo::rerun-if-changed=data/org.sugarlabs.SugarCellar.gschema.xml");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    run(
        Command::new("glib-compile-resources")
            .arg("--sourcedir=data")
            .arg(format!(
                "--target={}",
                out.join("sugar-cellar.gresource").display()
            ))
            .arg("data/sugar-cellar.gresource.xml"),
        "libglib2.0-dev-bin",
    );
    schemas(&out.join("schemas"));
}

/// A window that is not installed finds its settings there.
fn schemas(folder: &Path) {
    std::fs::create_dir_all(folder).expect("OUT_DIR is writable");
    run(
        Command::new("glib-compile-schemas")
            .arg("--strict")
            .arg(format!("--targetdir={}", folder.display()))
            .arg("data"),
        "libglib2.0-bin",
    );
}

fn run(command: &mut Command, package: &str) {
    let status = command.status().unwrap_or_else(|error| {
        panic!(
            "{:?} did not start ({error}); it is in Debian's package {package}",
            command.get_program()
        )
    });
    assert!(status.success(), "{command:?} failed");
}
