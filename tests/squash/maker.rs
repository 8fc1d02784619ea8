//! Makes images with mksquashfs, and asks the other readers what is in them.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use tempfile::TempDir;

/// What images are made with.
pub const WAYS: [&str; 16] = [
    "-comp gzip",
    "-comp gzip -Xcompression-level 3 -Xwindow-size 10",
    "-comp lzo",
    "-comp lzo -Xalgorithm lzo1x_1",
    "-comp lz4",
    "-comp lz4 -Xhc",
    "-comp zstd",
    "-comp zstd -Xcompression-level 3",
    "-comp xz",
    "-comp xz -Xbcj x86",
    "-comp xz -Xbcj x86,arm,sparc -Xdict-size 50%",
    "-comp xz -noI -noD -noF -noX",
    "-comp xz -no-fragments",
    "-comp xz -always-use-fragments -no-exports",
    "-comp xz -b 4K -nopad",
    "-comp gzip -b 1M",
];

/// A folder, and images made of it.
pub struct Maker {
    place: TempDir,
}

impl Maker {
    pub fn new() -> Maker {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir(place.path().join("tree")).unwrap();
        Maker { place }
    }

    /// A path beside the tree.
    pub fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    /// A path in the tree.
    pub fn tree(&self, name: &str) -> PathBuf {
        self.path("tree").join(name)
    }

    /// Puts a file into the tree.
    pub fn put(&self, name: &str, bytes: &[u8]) -> &Maker {
        let path = self.tree(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
        self
    }

    /// Makes an image of the tree; the same tree and arguments give the same bytes.
    pub fn image(&self, arguments: &str) -> Vec<u8> {
        let path = self.path("image");
        let _ = fs::remove_file(&path);
        let mut command = Command::new("mksquashfs");
        command.arg(self.path("tree")).arg(&path);
        command.args(["-no-progress", "-quiet", "-mkfs-time", "1600000000"]);
        run(command.args(arguments.split_whitespace()));
        fs::read(&path).unwrap()
    }

    /// What unsquashfs reads of one file.
    pub fn unsquashed(&self, image: &[u8], name: &str) -> Vec<u8> {
        let path = self.path("judged");
        fs::write(&path, image).unwrap();
        let output = run(Command::new("unsquashfs").arg("-cat").arg(&path).arg(name));
        output.stdout
    }

    /// Lets the kernel mount an image, and looks; false where it cannot.
    pub fn mounted(&self, image: &[u8], look: impl FnOnce(&Path)) -> bool {
        struct Unmount(PathBuf);
        impl Drop for Unmount {
            fn drop(&mut self) {
                let output = Command::new("umount").arg(&self.0).output();
                println!("umount: {output:?}");
            }
        }
        // Each time another file: a loop device that is still about may keep the bytes of the one
        // before.
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let (path, folder) = (self.path(&format!("mount-{count}")), self.path("mounted"));
        fs::write(&path, image).unwrap();
        fs::create_dir_all(&folder).unwrap();
        let mut command = Command::new("mount");
        command.args(["-t", "squashfs", "-o", "loop,ro"]);
        match command.arg(&path).arg(&folder).output() {
            Ok(output) if output.status.success() => {
                let _mounted = Unmount(folder.clone());
                look(&folder);
                true
            }
            refused => {
                eprintln!("mount: {refused:?}");
                false
            }
        }
    }

    /// Everything that unsquashfs tells of the tree: modes, owners, sizes, times, names.
    pub fn listed(&self, image: &[u8]) -> String {
        let path = self.path("judged");
        fs::write(&path, image).unwrap();
        let output = run(Command::new("unsquashfs").arg("-lln").arg(&path));
        String::from_utf8(output.stdout).unwrap()
    }
}

/// An image whose inner file is longer than 4 GiB, and all holes but for these words; made once,
/// because mksquashfs reads all of the file.
pub struct Huge {
    pub image: Vec<u8>,
    pub length: u64,
    pub words: [(u64, &'static [u8; 5]); 3],
}

pub fn huge() -> &'static Huge {
    static HUGE: LazyLock<Huge> = LazyLock::new(|| {
        let maker = Maker::new();
        maker.put("after", b"after");
        maker.put("LiveOS/rootfs.img", b"");
        let path = maker.tree("LiveOS/rootfs.img");
        let file = fs::File::options().write(true).open(path).unwrap();
        let length = (4u64 << 30) + 9000;
        file.set_len(length).unwrap();
        let words = [(0, b"begin"), (3 << 30, b"there"), (length - 5, b"ended")];
        for (at, word) in words {
            file.write_all_at(word, at).unwrap();
        }
        Huge {
            image: maker.image("-comp zstd -b 1M"),
            length,
            words,
        }
    });
    &HUGE
}

/// Runs a tool that the tests cannot do without.
pub fn run(command: &mut Command) -> Output {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}; install squashfs-tools"));
    assert!(
        output.status.success(),
        "{command:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// What the crate backhand reads of one file; none where it does not know the compressor.
pub fn backhanded(image: &[u8], name: &str) -> Option<Vec<u8>> {
    use backhand::{FilesystemReader, InnerNode};
    use std::io::Read;
    let reader = FilesystemReader::from_reader(std::io::Cursor::new(image)).unwrap();
    let path = Path::new("/").join(name);
    let node = reader.files().find(|node| node.fullpath == path).unwrap();
    let InnerNode::File(file) = &node.inner else {
        panic!("{name} is no file");
    };
    let mut bytes = Vec::new();
    match reader.file(file).reader().read_to_end(&mut bytes) {
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::Unsupported => return None,
        Err(error) => panic!("{error}"),
    }
    assert_eq!(bytes.len(), file.file_len());
    Some(bytes)
}

/// Bytes that compress like a file system's: text, code-like and random parts, and zeros.
/// The same seed gives the same bytes.
pub fn contents(bytes: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut all = Vec::with_capacity(bytes + 4096);
    while all.len() < bytes {
        let kind = next() % 8;
        let start = all.len();
        while all.len() < start + 4096 {
            match kind {
                0 => all.extend(next().to_le_bytes()),
                1..=2 => all.extend([0; 64]),
                3..=5 => {
                    for _ in 0..3 {
                        all.extend(WORDS[(next() % 16) as usize].bytes());
                    }
                    all.extend((next() % 500).to_string().bytes());
                    all.push(b'\n');
                }
                _ => {
                    all.extend([0x48, 0x8b, 0xe8]);
                    all.extend(((next() % 4000) as u32).to_le_bytes());
                }
            }
        }
    }
    all.truncate(bytes);
    all
}

const WORDS: [&str; 16] = [
    "sugar ",
    "cellar ",
    "activity ",
    "journal ",
    "learner ",
    "mesh ",
    "neighbourhood ",
    "turtle ",
    "write ",
    "paint ",
    "memorize ",
    "browse ",
    "record ",
    "etoys ",
    "physics ",
    "maze ",
];
