//! The kernel's modules: which are needed, and in what order they go in.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

/// What guests use; what these need is found by itself. The checksums are asked
/// for by name while the kernel runs, so they stand before those who ask.
const WANTED: &[&str] = &[
    "loop",
    "crc32c_generic",
    "dm-snapshot",
    "dm-flakey",
    "dm-log-writes",
    "squashfs",
    "ext4",
    "vfat",
    "nls_cp437",
    "nls_ascii",
    "nls_utf8",
    "isofs",
    "overlay",
];

/// The modules below `folder` that guests need, and `own`, as (name, content), each after those that it needs.
///
/// # Panics
/// When one is neither there nor built into the kernel.
pub fn wanted(folder: &Path, own: &[&str]) -> Vec<(String, Vec<u8>)> {
    let mut files = BTreeMap::new();
    find(folder, &mut files);
    let builtin = files
        .remove("modules.builtin")
        .map(|path| fs::read_to_string(path).unwrap())
        .unwrap_or_default();
    let builtin: Vec<String> = builtin.lines().map(|line| name(Path::new(line))).collect();
    let mut loaded = Vec::new();
    for module in own.iter().chain(WANTED) {
        load(module, &files, &builtin, &mut loaded);
    }
    loaded
}

fn load(
    module: &str,
    files: &BTreeMap<String, PathBuf>,
    builtin: &[String],
    loaded: &mut Vec<(String, Vec<u8>)>,
) {
    let module = module.replace('-', "_");
    if builtin.contains(&module) || loaded.iter().any(|(name, _)| *name == module) {
        return;
    }
    let path = files
        .get(&module)
        .unwrap_or_else(|| panic!("the kernel has no module {module}"));
    let mut content = fs::read(path).unwrap();
    // Debian 13 compresses them, which busybox's insmod does not undo.
    if path.extension().is_some_and(|ending| ending == "xz") {
        let packed = std::mem::take(&mut content);
        liblzma::read::XzDecoder::new(&packed[..])
            .read_to_end(&mut content)
            .unwrap();
    }
    for needed in depends(&content) {
        load(&needed, files, builtin, loaded);
    }
    loaded.push((module, content));
}

/// What the module's `.modinfo` section says it needs.
fn depends(content: &[u8]) -> Vec<String> {
    let key = b"\0depends=";
    let Some(start) = content.windows(key.len()).position(|window| window == key) else {
        return Vec::new();
    };
    let value = &content[start + key.len()..];
    let end = value.iter().position(|byte| *byte == 0).unwrap_or(0);
    String::from_utf8_lossy(&value[..end])
        .split(',')
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

fn find(folder: &Path, files: &mut BTreeMap<String, PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            find(&path, files);
        } else if path.ends_with("modules.builtin") {
            files.insert("modules.builtin".to_owned(), path);
        } else {
            files.insert(name(&path), path);
        }
    }
}

/// `dm-mod.ko.xz` is module dm_mod.
fn name(path: &Path) -> String {
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    let name = file.split(".ko").next().unwrap_or_default();
    name.replace('-', "_")
}
