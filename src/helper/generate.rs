//! `generate`: the manual pages and the shells' completions, from the same definitions as `--help`.

use super::console::{Console, Exit};
use crate::error::{Doing, Result};
use clap::Command;
use clap_complete::Shell;
use std::fs;
use std::path::{Path, PathBuf};

/// Write the manual pages and shell completions below a folder laid out as /usr/share
#[derive(Debug, clap::Args)]
#[command(hide = true)]
pub struct Args {
    /// The folder; made if missing
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

/// Where each shell looks, below /usr/share.
const SHELLS: [(Shell, &str, &str); 3] = [
    (
        Shell::Bash,
        "bash-completion/completions",
        "sugar-cellar-helper",
    ),
    (Shell::Zsh, "zsh/site-functions", "_sugar-cellar-helper"),
    (
        Shell::Fish,
        "fish/vendor_completions.d",
        "sugar-cellar-helper.fish",
    ),
];

pub fn run(args: &Args, command: Command, console: &Console) -> Exit {
    console.end("", write(&args.folder, command).map(|()| Exit::Done))
}

fn write(share: &Path, mut command: Command) -> Result<()> {
    let name = command.get_name().to_owned();
    for (shell, folder, file) in SHELLS {
        let mut text = Vec::new();
        clap_complete::generate(shell, &mut command, &name, &mut text);
        save(&share.join(folder), file, &text)?;
    }
    let pages = share.join("man/man1");
    fs::create_dir_all(&pages).doing("creating the manual's folder")?;
    clap_mangen::generate_to(command, &pages).doing("writing the manual pages")?;
    Ok(())
}

fn save(folder: &Path, file: &str, text: &[u8]) -> Result<()> {
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(folder.join(file), text))
        .doing(format!("writing {file}"))
}
