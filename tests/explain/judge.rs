//! Who owns which chunk, according to debugfs.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;
use std::process::Command;
use sugar_cellar::overlay::ExceptionStore;
use sugar_cellar::protocol::Explanation;

/// Questions in one of debugfs's lines.
const MANY: usize = 500;

/// What debugfs says of the chunks of an overlay.
#[derive(Debug)]
pub struct Judged {
    chunk_sectors: u64,
    /// Chunks by inode.
    inodes: BTreeMap<u32, u64>,
    /// The inodes of the file system's own files, but for the journal's.
    own: Vec<u32>,
    records: u64,
    deleted: u64,
    /// By path, without its first slash.
    paths: HashMap<String, u32>,
}

fn tool(program: &str, arguments: &[&str], file: &Path) -> String {
    let mut command = Command::new(program);
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{path}:/usr/sbin:/sbin"));
    let output = command
        .env("LC_ALL", "C")
        .args(arguments)
        .arg(file)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let failed = !matches!(output.status.code(), Some(0 | 1));
    assert!(!failed, "{program}: {output:?}");
    text
}

/// Has e2fsck put the journal of the file system at `image` in place, and do nothing else.
pub fn replay(image: &Path) {
    tool("e2fsck", &["-y", "-E", "journal_only"], image);
}

fn debugfs(image: &Path, questions: &str) -> String {
    let script = image.with_extension("debugfs");
    fs::write(&script, questions).unwrap();
    let text = tool("debugfs", &["-f", script.to_str().unwrap()], image);
    fs::remove_file(script).unwrap();
    text
}

/// Asks `question` of many numbers; gives the lines of the answers that begin with one.
fn ask(image: &Path, question: &str, numbers: &[u64]) -> Vec<(u64, String)> {
    let mut script = String::new();
    for some in numbers.chunks(MANY) {
        let some: Vec<String> = some.iter().map(u64::to_string).collect();
        script += &format!("{question} {}\n", some.join(" "));
    }
    let answer = |line: &str| {
        let (number, answer) = line.split_once('\t')?;
        Some((number.trim().parse().ok()?, answer.to_owned()))
    };
    debugfs(image, &script).lines().filter_map(answer).collect()
}

/// Of the file system at `image`, which is *image (+) overlay*, its journal in place.
pub fn judge(image: &Path, list: &ExceptionStore) -> Judged {
    let header = tool("dumpe2fs", &["-h"], image);
    let field = |name: &str| -> u64 {
        let line = header.lines().find(|line| line.starts_with(name)).unwrap();
        line.rsplit(' ').next().unwrap().parse().unwrap()
    };
    let named = |name: &str| {
        let line = header.lines().find(|line| line.starts_with(name))?;
        line.rsplit(' ').next()?.parse().ok()
    };
    let files = ["Orphan file", "User quota", "Group quota", "Project quota"];
    let files = files.map(|file| named(&format!("{file} inode:")));
    let (block_bytes, end) = (field("Block size:"), field("Block count:"));
    let first = field("First block:");
    let chunk_bytes = list.chunk_size().bytes().0;
    let blocks_of = |chunk: u64| {
        let start = chunk * chunk_bytes / block_bytes;
        start.max(first)..((chunk + 1) * chunk_bytes).div_ceil(block_bytes).min(end)
    };
    let chunks: Vec<u64> = list.iter().map(|one| one.old.0).collect();
    let mut blocks: Vec<u64> = chunks.iter().flat_map(|chunk| blocks_of(*chunk)).collect();
    blocks.dedup();
    let inodes: HashMap<u64, u32> = ask(image, "icheck", &blocks)
        .into_iter()
        .filter_map(|(block, inode)| Some((block, inode.parse().ok()?)))
        .collect();
    let asked: String = blocks
        .iter()
        .map(|block| format!("testb {block}\n"))
        .collect();
    let said = debugfs(image, &asked);
    let mut used: HashMap<u64, bool> = said
        .lines()
        .filter_map(|line| {
            let (block, state) = line.strip_prefix("Block ")?.split_once(' ')?;
            Some((block.parse().ok()?, state == "marked in use"))
        })
        .collect();
    // It does not take 0 for a block's number; the superblock lies there.
    used.insert(0, true);
    let mut judged = Judged {
        chunk_sectors: list.chunk_size().sectors().0,
        inodes: BTreeMap::new(),
        own: [1, 3, 4, 5, 6, 7, 9, 10]
            .into_iter()
            .chain(files.into_iter().flatten())
            .collect(),
        records: 0,
        deleted: 0,
        paths: HashMap::new(),
    };
    for chunk in chunks {
        let own = blocks_of(chunk);
        let record = own
            .clone()
            .any(|block| used[&block] && !inodes.contains_key(&block));
        match own.filter_map(|block| inodes.get(&block)).min() {
            _ if record => judged.records += 1,
            Some(&inode) => *judged.inodes.entry(inode).or_default() += 1,
            None => judged.deleted += 1,
        }
    }
    let numbers: Vec<u64> = judged
        .inodes
        .keys()
        .map(|inode| u64::from(*inode))
        .collect();
    for (inode, path) in ask(image, "ncheck", &numbers) {
        judged
            .paths
            .insert(path.trim_start_matches('/').to_owned(), inode as u32);
    }
    judged.paths.insert(String::new(), 2);
    judged
}

impl Judged {
    /// Holds `explanation` against it.
    #[track_caller]
    pub fn holds(mut self, explanation: &Explanation, what: &str) {
        let sums = &explanation.sums;
        let mut chunks = |inode: u32| self.inodes.remove(&inode).unwrap_or(0);
        let journal = chunks(8);
        let own: u64 = self.own.iter().copied().map(&mut chunks).sum();
        let sectors = self.chunk_sectors;
        assert_eq!(sums.journal_sectors.0, journal * sectors, "{what}");
        assert_eq!(
            sums.record_sectors.0,
            (self.records + own) * sectors,
            "{what}"
        );
        assert_eq!(sums.deleted_sectors.0, self.deleted * sectors, "{what}");
        let mut found = BTreeMap::new();
        for entry in &explanation.entries {
            let inode = match entry.path.strip_prefix('#') {
                Some(number) => number.parse().unwrap(),
                None => *self
                    .paths
                    .get(&entry.path)
                    .unwrap_or_else(|| panic!("{what}: {entry:?}")),
            };
            found.insert(inode, entry.sectors.0 / sectors);
        }
        assert_eq!(found.len(), explanation.entries.len(), "{what}");
        assert_eq!(found, self.inodes, "{what}");
    }
}

/// That the sums are the whole, as `status` has it.
#[track_caller]
pub fn add_up(explanation: &Explanation, list: &ExceptionStore, what: &str) {
    let sums = &explanation.sums;
    let all = [
        sums.file_sectors,
        sums.folder_sectors,
        sums.record_sectors,
        sums.journal_sectors,
        sums.deleted_sectors,
        sums.list_sectors,
        sums.unused_sectors,
    ];
    let figures = list.figures();
    let all: u64 = all.iter().map(|sum| sum.0).sum();
    assert_eq!(all, figures.used.0, "{what}: {sums:?}");
    assert_eq!(explanation.used_sectors, figures.used, "{what}");
    let kinds: u64 = explanation.kinds.iter().map(|kind| kind.sectors.0).sum();
    assert_eq!(kinds, sums.file_sectors.0 + sums.folder_sectors.0, "{what}");
    let entries: u64 = explanation
        .entries
        .iter()
        .map(|entry| entry.sectors.0)
        .sum();
    assert_eq!(kinds, entries, "{what}");
}
