//! What a refresh would do, as lines that a person reads before agreeing.

use crate::words::{self, fill, size};
use gettextrs::gettext;
use sugar_cellar::protocol::{Distrust, Plan, SpaceMode};

/// One line of the question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    pub icon: &'static str,
    pub title: String,
    pub text: String,
    /// Something to be careful about.
    pub warning: bool,
}

impl Fact {
    fn plain(icon: &'static str, title: String, text: String) -> Fact {
        Fact {
            icon,
            title,
            text,
            warning: false,
        }
    }

    /// A warning.
    pub fn warning(title: String, text: String) -> Fact {
        Fact {
            icon: "cellar-filling-symbolic",
            title,
            text,
            warning: true,
        }
    }
}

/// The facts of `plan`, the most important first.
pub fn facts(plan: &Plan) -> Vec<Fact> {
    let mut facts = vec![room(plan), image(plan), time(plan)];
    facts.extend(space(plan));
    facts.extend(deleted(plan));
    facts.extend(kernels(plan));
    facts
}

/// Kernels whose modules are gone.
fn kernels(plan: &Plan) -> impl Iterator<Item = Fact> {
    let gone = plan.kernels.iter().filter(|kernel| !kernel.modules);
    gone.map(|kernel| {
        let text = gettext(
            "The stick starts the kernel {version}, whose modules were removed by an update: without them it finds no network and no sound. Install the package of this kernel's version again, on the stick; a refresh neither mends nor worsens it.",
        );
        Fact::warning(
            gettext("The stick's kernel lacks its modules"),
            fill(&text, &[("version", &kernel.version)]),
        )
    })
}

fn bytes(sectors: sugar_cellar::units::Sectors) -> u64 {
    sectors.bytes().map_or(u64::MAX, |bytes| bytes.0)
}

fn room(plan: &Plan) -> Fact {
    let total = plan.overlay.total_sectors;
    let now = bytes(total.saturating_sub(plan.overlay.used_sectors));
    let then = bytes(total.saturating_sub(plan.overlay.after_sectors));
    let text = fill(
        &gettext("{now} free now, {then} free afterwards"),
        &[("now", &size(now)), ("then", &size(then))],
    );
    Fact::plain("cellar-fine-symbolic", gettext("Room for saving"), text)
}

fn image(plan: &Plan) -> Fact {
    let values = (size(plan.image.bytes.0), size(plan.image.estimated_bytes.0));
    let text = fill(
        &gettext("{now} now, about {then} afterwards"),
        &[("now", &values.0), ("then", &values.1)],
    );
    Fact::plain(
        "cellar-stick-symbolic",
        gettext("The stick's compressed part"),
        text,
    )
}

fn time(plan: &Plan) -> Fact {
    let text = match plan.seconds {
        Some(seconds) => words::about(seconds),
        None => gettext("Some minutes; it depends on the stick"),
    };
    Fact::plain("cellar-time-symbolic", gettext("How long it takes"), text)
}

fn space(plan: &Plan) -> Option<Fact> {
    match plan.space.mode {
        SpaceMode::Beside | SpaceMode::None => None,
        SpaceMode::ShortenedOverlay => Some(Fact::plain(
            "cellar-refresh-symbolic",
            gettext("The stick is rather full"),
            gettext("Unused room of the overlay is borrowed meanwhile and given back at the end."),
        )),
        SpaceMode::Scratch => Some(Fact::warning(
            gettext("Until this ends the stick does not start"),
            gettext(
                "There is too little room on the stick, so the new part is written on this computer first. Stick and computer together lose nothing.",
            ),
        )),
    }
}

fn deleted(plan: &Plan) -> Option<Fact> {
    let text = match plan
        .free_blocks
        .reason
        .filter(|_| !plan.free_blocks.trusted)?
    {
        Distrust::NotWanted => return None,
        Distrust::Live => {
            gettext("The computer runs from this stick, so what deleted files took stays taken.")
        }
        Distrust::NotClean => gettext(
            "The stick was pulled out or switched off without shutting down. What deleted files took stays taken. Start from it once and shut down, and a refresh can do more.",
        ),
        Distrust::Errors | Distrust::Unsupported => {
            gettext("What deleted files took stays taken, to be safe.")
        }
    };
    Some(Fact::plain(
        "cellar-waiting-symbolic",
        gettext("Deleted files"),
        text,
    ))
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use sugar_cellar::protocol::*;
    use sugar_cellar::units::{Bytes, Sectors};

    fn plan(mode: SpaceMode, reason: Option<Distrust>) -> Plan {
        Plan {
            stick: Stick {
                path: "x".into(),
                label: None,
                uuid: None,
                file_system: "vfat".into(),
                free_bytes: Bytes(0),
                booted: false,
            },
            image: PlannedImage {
                bytes: Bytes(1),
                estimated_bytes: Bytes(2),
                largest_bytes: Bytes(3),
            },
            overlay: PlannedOverlay {
                used_sectors: Sectors(90),
                after_sectors: Sectors(16),
                total_sectors: Sectors(100),
            },
            blocks: PlannedBlocks {
                block_bytes: Bytes(1),
                total: 1,
                changed: 1,
                freed: 0,
            },
            space: PlannedSpace {
                mode,
                needed_bytes: Bytes(1),
                available_bytes: Bytes(1),
                file_limit_bytes: None,
                scratch_bytes: None,
            },
            free_blocks: FreeBlocks {
                trusted: reason.is_none(),
                reason,
                detail: None,
            },
            seconds: Some(70),
            refusals: vec![],
            kernels: vec![],
        }
    }

    #[test]
    fn a_kernel_without_modules_is_a_warning() {
        let mut plan = plan(SpaceMode::Beside, None);
        for modules in [true, false] {
            plan.kernels = vec![Kernel {
                version: "6.1".into(),
                modules,
            }];
            let facts = facts(&plan);
            assert_eq!(facts.iter().any(|fact| fact.warning), !modules);
        }
    }

    #[test]
    fn a_plain_refresh_has_three_facts_and_no_warning() {
        let facts = facts(&plan(SpaceMode::Beside, None));
        assert_eq!(facts.len(), 3);
        assert!(facts.iter().all(|fact| !fact.warning));
    }

    #[test]
    fn scratch_space_is_a_warning() {
        assert!(
            facts(&plan(SpaceMode::Scratch, None))
                .iter()
                .any(|fact| fact.warning)
        );
    }

    #[test]
    fn an_unclean_stick_says_so() {
        assert_eq!(
            facts(&plan(SpaceMode::Beside, Some(Distrust::NotClean))).len(),
            4
        );
        assert_eq!(
            facts(&plan(SpaceMode::Beside, Some(Distrust::NotWanted))).len(),
            3
        );
    }
}
