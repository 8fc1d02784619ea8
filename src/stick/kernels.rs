//! Which kernels a stick starts: they lie outside its image, beside the boot loader.

use super::known::configurations;
use super::open::Stick;
use crate::storage::{DiskFolder, Folder, ReadAt};
use std::collections::BTreeSet;
use std::io;

/// The words that name a kernel in boot loaders' menus.
const WORDS: [&str; 5] = ["kernel", "linux", "linuxefi", "linux16", "linuxnative"];
/// How much of a kernel is read: its setup code, in which its version stands.
const HEAD: u64 = 64 << 10;
/// No version is longer.
const LONGEST: usize = 128;

impl Stick {
    /// The versions of the kernels that its boot menus name, as `uname -r` gives them. What cannot
    /// be read, or is no kernel for PCs, is passed over.
    pub fn kernels(&self) -> BTreeSet<String> {
        let mut versions = BTreeSet::new();
        for (folder, text) in configurations(&self.root) {
            for path in images(&folder, &text) {
                match head(&self.root, &path) {
                    Ok(head) => versions.extend(version(&head)),
                    Err(error) => log::info!("kernel {path}: {error}"),
                }
            }
        }
        versions
    }
}

/// The kernels that a menu in `folder` names, as paths from the stick's root.
fn images(folder: &str, text: &str) -> BTreeSet<String> {
    let path = |line: &str| {
        let mut words = line.split_whitespace();
        let word = words.next()?.to_lowercase();
        if !WORDS.contains(&word.as_str()) {
            return None;
        }
        let named = words.next()?;
        let named = named.strip_prefix("($root)").unwrap_or(named);
        if named.contains(['$', '(']) {
            return None;
        }
        // GRUB's names begin at the root, syslinux's may lie beside the menu.
        Some(match named.strip_prefix('/') {
            Some(named) => named.to_owned(),
            None if folder.is_empty() => named.to_owned(),
            None => format!("{folder}/{named}"),
        })
    };
    text.lines().filter_map(path).collect()
}

fn head(root: &DiskFolder, path: &str) -> io::Result<Vec<u8>> {
    let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
    let folders = folders.split('/').filter(|folder| !folder.is_empty());
    let mut below: Option<DiskFolder> = None;
    for folder in folders {
        below = Some(below.as_ref().unwrap_or(root).below(folder)?);
    }
    let file = below.as_ref().unwrap_or(root).open(name)?;
    let mut bytes = vec![0; file.size()?.0.min(HEAD) as usize];
    file.read_at(&mut bytes, 0)?;
    Ok(bytes)
}

/// The version in a kernel for PCs: `HdrS` at 0x202, at 0x20e where the version stands, less 0x200
/// (the kernel's Documentation/arch/x86/boot.rst).
fn version(head: &[u8]) -> Option<String> {
    if head.get(0x202..0x206)? != b"HdrS" {
        return None;
    }
    let at = u16::from_le_bytes([*head.get(0x20e)?, *head.get(0x20f)?]);
    let text = head.get(0x200 + usize::from(at)..)?;
    let text = &text[..text.len().min(LONGEST)];
    let end = text.iter().position(|byte| !byte.is_ascii_graphic())?;
    // It becomes a folder's name.
    let version = std::str::from_utf8(&text[..end]).ok()?;
    let good = at > 0 && !version.is_empty() && !version.contains('/') && !version.starts_with('.');
    good.then(|| version.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn menus_name_kernels() {
        let syslinux =
            "label linux0\n  menu label Start\n  KERNEL vmlinuz0\n  append root=live:X\n";
        let grub = "menuentry 'A' {\n  linuxefi /images/pxeboot/vmlinuz root=live:X\n  linux ($root)/b $x\n  linux $dir/c\n}";
        let found = |folder, text| images(folder, text).into_iter().collect::<Vec<_>>();
        assert_eq!(found("syslinux", syslinux), ["syslinux/vmlinuz0"]);
        assert_eq!(found("", syslinux), ["vmlinuz0"]);
        assert_eq!(found("EFI/BOOT", grub), ["b", "images/pxeboot/vmlinuz"]);
        assert!(found("", "# kernel\nkernel\nkernels x").is_empty());
    }

    #[test]
    fn a_version_is_read_or_not() {
        let mut head = vec![0; 0x3000];
        assert_eq!(version(&head), None);
        head[0x202..0x206].copy_from_slice(b"HdrS");
        assert_eq!(version(&head), None);
        head[0x20e..0x210].copy_from_slice(&0x1000u16.to_le_bytes());
        let text = b"6.8.5-301.fc40.x86_64 (mockbuild@x) #1 SMP\0";
        head[0x1200..0x1200 + text.len()].copy_from_slice(text);
        assert_eq!(version(&head).as_deref(), Some("6.8.5-301.fc40.x86_64"));
        head[0x1203] = b'/';
        assert_eq!(version(&head), None);
        head[0x20e..0x210].fill(0xff);
        assert_eq!(version(&head), None);
        assert_eq!(version(&head[..0x20f]), None);
    }
}
