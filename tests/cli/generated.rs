//! Manual pages and completions come from the same definitions as the help.

use super::contracts::ALL;
use super::helper::run;
use std::fs;
use std::process::Command;

#[test]
fn pages_and_completions() {
    let place = tempfile::tempdir().unwrap();
    let ran = run(["generate".as_ref(), place.path().as_os_str()]);
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (0, "", ""));
    let read = |path: &str| fs::read_to_string(place.path().join(path)).expect(path);
    let files = [
        "bash-completion/completions/sugar-cellar-helper",
        "zsh/site-functions/_sugar-cellar-helper",
        "fish/vendor_completions.d/sugar-cellar-helper.fish",
        "man/man1/sugar-cellar-helper.1",
    ];
    for file in files {
        let text = read(file);
        for contract in ALL {
            assert!(text.contains(contract.verb), "{} in {file}", contract.verb);
        }
        assert!(
            !text.contains("generate"),
            "the hidden command shows in {file}"
        );
    }
    assert!(read("man/man1/sugar-cellar-helper.1").contains("Exit status"));
    for contract in ALL {
        let page = read(&format!("man/man1/sugar-cellar-helper-{}.1", contract.verb));
        assert!(
            page.starts_with(".ie") && page.contains("SYNOPSIS"),
            "{}",
            contract.verb
        );
    }
    assert!(
        !place
            .path()
            .join("man/man1/sugar-cellar-helper-generate.1")
            .exists()
    );
    // The shells' own opinion.
    for (shell, file) in [("bash", files[0]), ("zsh", files[1]), ("fish", files[2])] {
        match Command::new(shell)
            .arg("-n")
            .arg(place.path().join(file))
            .output()
        {
            Ok(judged) => assert!(judged.status.success(), "{shell}: {judged:?}"),
            Err(_) => eprintln!("SKIPPED: no {shell} to judge its completions"),
        }
    }
}
