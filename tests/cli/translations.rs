//! Every word for people can be translated, and is where there is a translation.

use super::helper::{command, finish};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All Rust files below `folder`.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The literals that are given to gettext in a Rust text, found without xgettext.
fn literals(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for call in ["gettext(", "ngettext("] {
        for (at, _) in text.match_indices(call) {
            let before = text[..at].chars().next_back();
            if before.is_some_and(|letter| letter.is_alphanumeric() || letter == '_') {
                continue;
            }
            let rest = text[at + call.len()..].trim_start();
            let Some(rest) = rest.strip_prefix('"') else {
                continue;
            };
            let literal = rest.split('"').next().unwrap();
            assert!(!literal.contains('\\'), "an escape in {literal:?}");
            found.insert(literal.to_owned());
        }
    }
    found
}

#[test]
fn the_template_holds_every_text() {
    let listed: BTreeSet<PathBuf> = fs::read_to_string(root().join("po/POTFILES.in"))
        .unwrap()
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| root().join(line))
        .collect();
    let mut wanted = BTreeSet::new();
    let folders = ["src/helper", "src/app"].map(|folder| sources(&root().join(folder)));
    for path in folders.concat() {
        let here = literals(&fs::read_to_string(&path).unwrap());
        if !here.is_empty() {
            assert!(
                listed.contains(&path),
                "{} is not in po/POTFILES.in",
                path.display()
            );
        }
        wanted.extend(here);
    }
    assert!(wanted.len() > 50);
    let Ok(made) = Command::new(root().join("po/template")).output() else {
        panic!("po/template does not run");
    };
    if !made.status.success() && String::from_utf8_lossy(&made.stderr).contains("not found") {
        eprintln!("SKIPPED: no xgettext");
        return;
    }
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    let template = String::from_utf8(made.stdout).unwrap();
    // Long texts are broken over several literals.
    let joined = template.replace("\"\n\"", "");
    for text in wanted {
        assert!(
            joined.contains(&format!("\"{text}\"")),
            "not in the template: {text}"
        );
    }
}

#[test]
fn a_translation_is_used() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("es/LC_MESSAGES");
    fs::create_dir_all(&folder).unwrap();
    let po = "msgid \"\"\nmsgstr \"Content-Type: text/plain; charset=UTF-8\\n\"\n\n\
              msgid \"There is no live system here.\"\nmsgstr \"Aquí no hay ningún sistema.\"\n";
    fs::write(place.path().join("es.po"), po).unwrap();
    let made = Command::new("msgfmt")
        .arg("-o")
        .arg(folder.join("sugar-cellar.mo"))
        .arg(place.path().join("es.po"))
        .status();
    if made.is_err() {
        eprintln!("SKIPPED: no msgfmt");
        return;
    }
    let mut helper = command();
    helper
        .args(["status".as_ref(), place.path().as_os_str()])
        .env("TEXTDOMAINDIR", place.path())
        .env("LANGUAGE", "es");
    let ran = finish(helper.spawn().unwrap());
    assert!(
        ran.err.contains("Aquí no hay ningún sistema."),
        "{}",
        ran.err
    );
}
