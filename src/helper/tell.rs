//! What commands come to, for people: plain words first, the technical ones below.

use super::figures::{duration, fill, percent, sectors, size};
use super::words;
use crate::protocol::{
    Distrust, Finding, Found, FreeBlocks, Image, ImageKind, Overlay, OverlayKind, OverlayState,
    Pending, Plan, SpaceMode, Status, Weight,
};
use crate::refresh::Sum;
use crate::stick::{self, Layout};
use gettextrs::{gettext, ngettext};

/// A stick's status, several lines.
pub fn status(status: &Status, layout: &Layout) -> String {
    let mut lines = headline(status, layout);
    lines.extend(status.pending.map(pending));
    lines.push(String::new());
    lines.extend(facts(status, layout));
    lines.join("\n")
}

/// One sentence how it stands, and one what to do where there is something to do.
fn headline(status: &Status, layout: &Layout) -> Vec<String> {
    let overlay = &status.overlay;
    match &layout.overlay {
        stick::Overlay::Unclear(why) => {
            return vec![
                gettext("Which overlay this stick would use cannot be told for sure."),
                words::details(why),
            ];
        }
        stick::Overlay::Elsewhere(place) => {
            return vec![fill(
                &gettext("This stick keeps what is saved in another place: {place}."),
                &[("place", place)],
            )];
        }
        _ => {}
    }
    match overlay.kind {
        OverlayKind::None => {
            vec![gettext(
                "This stick keeps nothing that is saved on it: it has no overlay.",
            )]
        }
        OverlayKind::Overlayfs if overlay.percent.is_none() => vec![fill(
            &gettext(
                "This stick keeps what is saved in a file system of {total}; how full that is cannot be told from outside.",
            ),
            &[("total", &sectors(overlay.total_sectors))],
        )],
        OverlayKind::Overlayfs => vec![fill(
            &gettext(
                "This stick keeps what is saved as ordinary files: {used} so far; {free} more are free.",
            ),
            &[
                ("used", &sectors(overlay.used_sectors)),
                (
                    "free",
                    &sectors(overlay.total_sectors.saturating_sub(overlay.used_sectors)),
                ),
            ],
        )],
        OverlayKind::Snapshot => snapshot(overlay, &status.stick.path),
    }
}

/// How full a snapshot is, which can always be told.
fn full(overlay: &Overlay) -> String {
    percent(overlay.percent.unwrap_or_default().floor())
}

fn snapshot(overlay: &Overlay, path: &str) -> Vec<String> {
    let values = [
        ("percent", &*full(overlay)),
        (
            "free",
            &*sectors(overlay.total_sectors.saturating_sub(overlay.used_sectors)),
        ),
        ("command", &*format!("sugar-cellar-helper refresh {path}")),
    ];
    let lines = match overlay.state {
        OverlayState::Empty => vec![
            gettext("This stick is empty: nothing was saved on it since it was made or refreshed."),
            gettext("There is room for {free}."),
        ],
        OverlayState::Active => vec![
            gettext("This stick is {percent} full."),
            gettext("There is room for {free} more."),
        ],
        OverlayState::NearlyFull => vec![
            gettext("This stick is nearly full: {percent}."),
            gettext("There is room for {free} more; refresh it soon: {command}"),
        ],
        OverlayState::Full => vec![
            gettext("This stick is full: nothing more can be saved on it."),
            gettext("Refresh it before you use it again: {command}"),
        ],
        OverlayState::Invalid => vec![
            gettext("This stick no longer starts: it ran full, and Linux gave its overlay up."),
            gettext("What was saved until then is still there. Refresh it: {command}"),
        ],
    };
    lines.iter().map(|line| fill(line, &values)).collect()
}

fn pending(pending: Pending) -> String {
    match pending {
        Pending::Finish => {
            gettext("A refresh of this stick will be finished when the computer shuts down.")
        }
        Pending::Cleanup => gettext(
            "A refresh of this stick was cut off; nothing is lost, and the next refresh puts it right.",
        ),
        Pending::Borrowed => gettext(
            "A part of the overlay's room was lent to a refresh; the next command that writes gives it back.",
        ),
    }
}

fn facts(status: &Status, layout: &Layout) -> Vec<String> {
    let stick = &status.stick;
    let label = stick.label.as_deref().unwrap_or_default();
    let values = [
        ("path", &*stick.path),
        ("label", label),
        ("file_system", &*stick.file_system),
        ("free", &*size(stick.free_bytes)),
    ];
    let template = match label {
        "" => gettext("Stick: {path} ({file_system}, {free} free)"),
        _ => gettext("Stick: {path} (“{label}”, {file_system}, {free} free)"),
    };
    let mut lines = vec![fill(&template, &values), image(&status.image)];
    if let Some(file) = &status.overlay.file {
        lines.push(overlay(&status.overlay, file));
    }
    if let Some(home) = &status.home {
        let template = match (home.encrypted, home.used_bytes) {
            (true, _) => gettext("Home: {file}, {size}, encrypted"),
            (false, Some(_)) => gettext("Home: {file}, {used} of {size} used"),
            (false, None) => gettext("Home: {file}, {size}"),
        };
        let used = home.used_bytes.map(size).unwrap_or_default();
        let values = [
            ("file", &*home.file),
            ("size", &*size(home.bytes)),
            ("used", &*used),
        ];
        lines.push(fill(&template, &values));
    }
    for name in &layout.unused {
        let file = format!("LiveOS/{name}");
        lines.push(fill(&gettext("Not used: {file}"), &[("file", &file)]));
    }
    lines
}

fn image(image: &Image) -> String {
    let inner_bytes = image.inner_bytes.map(size).unwrap_or_default();
    let values = [
        ("file", &*image.file),
        ("size", &*size(image.bytes)),
        ("compression", &*image.compression),
        ("inner", image.inner.as_deref().unwrap_or_default()),
        ("inner_size", &*inner_bytes),
    ];
    let template = match image.kind {
        ImageKind::Nested => {
            gettext("Image: {file}, {size}, compression {compression}; in it {inner}, {inner_size}")
        }
        ImageKind::Flat => gettext(
            "Image: {file}, {size}, compression {compression}; it is the root file system itself",
        ),
    };
    fill(&template, &values)
}

fn overlay(overlay: &Overlay, file: &str) -> String {
    if overlay.kind != OverlayKind::Snapshot {
        return fill(&gettext("Overlay: {file}"), &[("file", file)]);
    }
    let figures = format!(
        "{}/{} {}",
        overlay.used_sectors, overlay.total_sectors, overlay.metadata_sectors
    );
    let values = [
        ("file", file),
        ("used", &*sectors(overlay.used_sectors)),
        ("total", &*sectors(overlay.total_sectors)),
        // As “dmsetup status” writes it.
        ("figures", &*figures),
        ("chunk", &*overlay.chunk_sectors.to_string()),
    ];
    fill(
        &gettext("Overlay: {file}, {used} of {total} used ({figures} sectors, chunks of {chunk})"),
        &values,
    )
}

/// What a refresh would do.
pub fn plan(plan: &Plan) -> String {
    let changed = plan.blocks.changed.to_string();
    let values = [
        ("used", &*sectors(plan.overlay.used_sectors)),
        ("after", &*sectors(plan.overlay.after_sectors)),
        ("bytes", &*size(plan.image.bytes)),
        ("estimated", &*size(plan.image.estimated_bytes)),
        ("largest", &*size(plan.image.largest_bytes)),
        ("needed", &*size(plan.space.needed_bytes)),
        ("available", &*size(plan.space.available_bytes)),
        (
            "scratch",
            &*plan.space.scratch_bytes.map(size).unwrap_or_default(),
        ),
        ("changed", &*changed),
        ("total", &*plan.blocks.total.to_string()),
        ("freed", &*plan.blocks.freed.to_string()),
        ("time", &*plan.seconds.map(duration).unwrap_or_default()),
    ];
    let mut lines = match plan.seconds {
        Some(_) => vec![
            gettext(
                "A refresh would take about {time}, and empty the overlay: {used} used now, {after} afterwards.",
            ),
            gettext(
                "The image would be about {estimated} large, at most {largest}; now it is {bytes}.",
            ),
            gettext("It needs {needed} of room on the stick; {available} are free."),
            gettext(
                "Of the image's {total} blocks, {changed} are compressed anew, and {freed} are given back.",
            ),
        ],
        None => vec![gettext(
            "There is nothing to refresh: the overlay is empty.",
        )],
    };
    if plan.seconds.is_some() {
        if plan.space.mode == SpaceMode::ShortenedOverlay {
            lines.push(gettext(
                "Unused room of the overlay is borrowed meanwhile and given back at the end.",
            ));
        }
        if plan.space.mode == SpaceMode::Scratch {
            lines.push(gettext(
                "The stick holds only one image, so the new one is written to the scratch folder first, which takes {scratch} there, and then replaces the old one. Until this ends the stick does not start; stick and scratch folder together lose nothing.",
            ));
        }
        lines.extend(distrust(&plan.free_blocks));
    }
    for kernel in plan.kernels.iter().filter(|kernel| !kernel.modules) {
        let text = gettext(
            "The stick starts the kernel {version}, whose modules were removed by an update: without them it finds no network and no sound. Install the package of this kernel's version again, on the stick; a refresh neither mends nor worsens it.",
        );
        lines.push(fill(&text, &[("version", &kernel.version)]));
    }
    for refusal in &plan.refusals {
        lines.push(String::new());
        lines.push(gettext("But it would not be done now:"));
        lines.push(refusal.message.clone());
        lines.push(refusal.hint.clone());
        lines.push(words::details(&refusal.detail));
    }
    let filled: Vec<String> = lines.iter().map(|line| fill(line, &values)).collect();
    filled.join("\n")
}

fn distrust(free: &FreeBlocks) -> Option<String> {
    Some(match free.reason? {
        Distrust::NotWanted => gettext("What deleted files held is kept, as you want it."),
        Distrust::Live => {
            gettext("What deleted files held is kept, for the system is running from this stick.")
        }
        Distrust::NotClean => gettext(
            "What deleted files held is kept, for the system was not shut down properly the last time.",
        ),
        Distrust::Errors => {
            gettext("What deleted files held is kept, for the root file system has errors.")
        }
        Distrust::Unsupported => {
            gettext("What deleted files held is kept, for the root file system is of another kind.")
        }
    })
}

/// That a refresh is done.
pub fn refreshed(before: &Status, after: &Status, seconds: f64) -> String {
    if before.overlay == after.overlay && before.image == after.image {
        return gettext("There was nothing to refresh: the overlay is empty.");
    }
    let values = [
        ("time", &*duration(seconds.round() as u64)),
        ("used", &*sectors(before.overlay.used_sectors)),
        ("after", &*sectors(after.overlay.used_sectors)),
        ("percent_before", &*full(&before.overlay)),
        ("percent_after", &*full(&after.overlay)),
        ("bytes", &*size(before.image.bytes)),
        ("bytes_after", &*size(after.image.bytes)),
    ];
    [
        gettext("The stick is refreshed; it took {time}."),
        gettext("The overlay was {percent_before} full ({used}); now it is {percent_after} full ({after})."),
        gettext("The image was {bytes} large; now it is {bytes_after}."),
    ]
    .map(|line| fill(&line, &values))
    .join("\n")
}

/// That the running system's stick has a new image, and what is to come.
pub fn absorbed(before: &Status, after: &Status, seconds: f64) -> String {
    let values = [
        ("time", &*duration(seconds.round() as u64)),
        ("bytes", &*size(before.image.bytes)),
        ("bytes_after", &*size(after.image.bytes)),
    ];
    [
        gettext("The new image is in place; it took {time}."),
        gettext("The image was {bytes} large; now it is {bytes_after}."),
        gettext("Go on working as you like. When the computer is shut down or restarted, the overlay is emptied."),
    ]
    .map(|line| fill(&line, &values))
    .join("\n")
}

/// The new image's checksum: `sha256sum` gives the same.
pub fn sum(sum: &Sum) -> String {
    // Translators: SHA-256 is the name of a checksum that the command sha256sum gives, too.
    let text = gettext("SHA-256 of the image: {sum}");
    fill(&text, &[("sum", &sum.to_string())])
}

/// That a tidy waits for the shutdown.
pub fn at_shutdown() -> String {
    gettext("Space is given back when the computer is shut down or restarted.")
}

/// What a tidy came to.
pub fn tidied(before: &Status, after: &Status) -> String {
    let back = before
        .overlay
        .used_sectors
        .saturating_sub(after.overlay.used_sectors);
    let values = [
        ("back", &*sectors(back)),
        ("percent_before", &*full(&before.overlay)),
        ("percent_after", &*full(&after.overlay)),
    ];
    let template = match back.0 {
        0 => gettext("There was nothing to give back; the overlay is {percent_after} full."),
        _ => gettext(
            "{back} were given back: the overlay was {percent_before} full, now it is {percent_after} full.",
        ),
    };
    fill(&template, &values)
}

/// That the overlay is longer.
pub fn enlarged(before: &Status, after: &Status) -> String {
    let values = [
        ("before", &*sectors(before.overlay.total_sectors)),
        ("after", &*sectors(after.overlay.total_sectors)),
        ("percent", &*full(&after.overlay)),
    ];
    fill(
        &gettext(
            "The overlay had room for {before}, now it has room for {after}; it is {percent} full.",
        ),
        &values,
    )
}

/// What `check` found.
pub fn findings(findings: &[Finding]) -> String {
    let of = |weight: Weight| findings.iter().filter(move |one| one.weight == weight);
    let damages = of(Weight::Damage).count();
    let mut lines = vec![match damages {
        0 => gettext("Everything was read, and nothing is damaged."),
        _ => {
            let number = u32::try_from(damages).unwrap_or(u32::MAX);
            let template = ngettext(
                "{number} damage was found.",
                "{number} damages were found.",
                number,
            );
            fill(&template, &[("number", &number.to_string())])
        }
    }];
    if damages > 0 {
        lines.push(gettext(
            "Keep a copy of the stick before you try anything else.",
        ));
    }
    lines.extend(of(Weight::Damage).map(|one| words::details(&one.detail)));
    lines.extend(of(Weight::Note).map(|one| {
        // Translators: something worth knowing that is no damage, in English
        fill(&gettext("(Note: {detail})"), &[("detail", &one.detail)])
    }));
    lines.join("\n")
}

/// The sticks that were found.
pub fn listing(sticks: &[Found]) -> String {
    if sticks.is_empty() {
        let lines = [
            gettext("There is no live stick here."),
            gettext("Plug one in, or make a stick to practise on: {command}"),
        ];
        let command = ("command", "sugar-cellar-helper practice ~/practice");
        return lines.map(|line| fill(&line, &[command])).join("\n");
    }
    let lines: Vec<String> = sticks.iter().map(found).collect();
    lines.join("\n")
}

fn found(stick: &Found) -> String {
    let mut facts = Vec::new();
    facts.extend(
        stick
            .label
            .as_ref()
            .map(|label| fill(&gettext("“{label}”"), &[("label", label)])),
    );
    facts.push(size(stick.bytes));
    facts.push(stick.file_system.clone());
    facts.extend(stick.model.clone());
    if stick.booted {
        facts.push(gettext("the computer was started from it"));
    } else {
        facts.push(match &stick.mounted {
            Some(place) => fill(&gettext("mounted at {place}"), &[("place", place)]),
            None => gettext("not mounted"),
        });
    }
    // Translators: between facts
    format!("{}: {}", stick.path, facts.join(&gettext(", ")))
}
