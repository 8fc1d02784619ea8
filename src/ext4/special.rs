//! Files of the file system's own, and what the walk makes of them: journal, orphan file, resize inode.

use super::finding::{Finding, Owner};
use super::format::{self, be32, compat, le32};
use super::inode::Inode;
use super::runs::Run;
use super::survey::{Step, Survey};

impl Survey<'_> {
    /// Looks into the files that say in which state the file system is.
    pub(super) fn special(&mut self, inode: u32, run: Run) -> Step {
        let superblock = self.fs.superblock();
        let features = superblock.features();
        let mut bytes = Vec::new();
        if features.compat(compat::HAS_JOURNAL)
            && superblock.journal_inode() == Some(inode)
            && run.file_block == 0
        {
            self.journal_seen = true;
            self.fs.read_block(run.block, &mut bytes)?;
            self.journal(&bytes)?;
        }
        if features.compat(compat::ORPHAN_FILE) && superblock.orphan_inode() == inode {
            for block in run.blocks() {
                self.fs.read_block(block, &mut bytes)?;
                self.orphans(&bytes)?;
            }
        }
        Ok(())
    }

    /// Looks at the journal's own superblock (include/linux/jbd2.h).
    fn journal(&mut self, bytes: &[u8]) -> Step {
        let kind = be32(bytes, 4);
        if be32(bytes, 0) != format::JOURNAL_MAGIC || !matches!(kind, 3 | 4) {
            return self.report(Finding::Journal("has no superblock"));
        }
        if be32(bytes, 0x1c) != 0 {
            self.report(Finding::Journal("holds changes that nobody announced"))?;
        }
        if be32(bytes, 0x20) != 0 {
            self.report(Finding::Journal("recorded an error"))?;
        }
        Ok(())
    }

    /// Looks at a block of the orphan file (the kernel's fs/ext4/orphan.c).
    fn orphans(&mut self, bytes: &[u8]) -> Step {
        let tail = bytes.len() - 8;
        let empty = bytes[..tail].iter().all(|byte| *byte == 0);
        let known = self.fs.superblock().state().orphans;
        if (empty && le32(bytes, tail) == format::ORPHAN_MAGIC) || known {
            return Ok(());
        }
        self.report(Finding::Orphans)
    }

    /// Claims the one block that the resize inode has of its own. It names the blocks kept for
    /// more descriptors, which belong to the layout, and which name their copies in other groups.
    pub(super) fn resize_inode(&mut self, inode: &Inode) -> Step {
        const DOUBLE: usize = 13;
        let owner = Owner::Inode(inode.number);
        let wrong = |what| Finding::Map {
            inode: inode.number,
            what,
        };
        let number = |index| u64::from(le32(&inode.map, index * 4));
        if (0..15).any(|index| index != DOUBLE && number(index) != 0) {
            return self.report(wrong("more than one block is named"));
        }
        let features = self.fs.superblock().features();
        match (number(DOUBLE), features.compat(compat::RESIZE_INODE)) {
            (0, false) => return Ok(()),
            (0, true) => return self.report(wrong("nothing is named")),
            (_, false) => return self.report(wrong("the feature resize_inode is missing")),
            (_, true) => {}
        }
        let block = number(DOUBLE);
        if !self.claim_inside(owner, block..block + 1)? {
            return Ok(());
        }
        let descriptors = self.fs.geometry().base_metadata(0);
        let mut bytes = Vec::new();
        self.fs.read_block(block, &mut bytes)?;
        for at in (0..bytes.len()).step_by(4) {
            let block = u64::from(le32(&bytes, at));
            if block != 0 && !descriptors.contains(&block) {
                self.report(Finding::Misplaced { owner, block })?;
            }
        }
        Ok(())
    }
}
