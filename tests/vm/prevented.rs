//! The measures that let an overlay fill more slowly, on a live stick that is started again and again:
//! each does what it says, takes effect when it says, and is taken back without a trace.

use crate::booted::{INSTALL, Live, lines, tools};
use crate::sticks::Format;
use std::collections::BTreeMap;
use sugar_cellar::protocol::{Event, Measure, MeasureState, Prevention};

const TOOLS: &str = r#"
HOME=/root
id learner >/dev/null 2>&1 || useradd --uid 1000 --create-home learner
as_learner() {
    setpriv --reuid 1000 --regid 1000 --clear-groups env HOME=/home/learner "$@"
}
states() {
    echo "$1 system: $(sugar-cellar-helper prevent live --json | tail -n 1)"
    echo "$1 own: $(as_learner sugar-cellar-helper prevent live --json | tail -n 1)"
}
# Whatever a person or we arranged.
arranged() { (cd / && find etc/systemd home/learner -exec ls -ld --time-style=+ {} + | sed "s/^/$1: /"); }
# What systemd would have in a session of the learner's.
session() {
    env -i HOME=/home/learner XDG_RUNTIME_DIR=/run/user/1000 \
        /usr/lib/systemd/user-environment-generators/30-systemd-environment-d-generator | sed 's/^/session: /'
}
used() { sync; set -- $(dmsetup status live-rw); echo "${4%/*}"; }
grows() {
    what=$1; shift
    sync; sleep 2
    held=$(used)
    "$@"
    echo "grew: $what $(($(used) - held))"
}
log() { for number in $(seq 300); do echo "message $number of an everyday program"; done | logger -p user.info; journalctl --sync; }
temporary() { head -c 3000000 /dev/urandom >/tmp/temporary; sync; rm /tmp/temporary; }
read_all() {
    one=$(find $1 -type f -print -quit)
    noted=$(stat -c %X "$one")
    find $1 -type f -exec cat {} + >/dev/null
    [ "$(stat -c %X "$one")" = "$noted" ] && echo "read: not noted" || echo "read: noted"
}
measure() {
    grows nothing sleep $2
    grows log log
    grows tmp temporary
    grows read read_all /usr/share/zoneinfo/$1
    echo "tmp: $(stat -f -c %T /tmp)"
    echo "logged: $(journalctl -q --no-pager -o cat -p info -g 'message 300' --boot | wc -l)"
    echo "kept: $(find /var/log/journal -name system.journal | wc -l) $(find /run/log/journal -name system.journal | wc -l)"
}
"#;

const BEFORE: &str = r#"
arranged arranged
states found
measure America 60
if as_learner sugar-cellar-helper prevent live tmp on; then exit 1; fi
for what in tmp journal noatime logs; do sugar-cellar-helper prevent live $what on; done
as_learner sugar-cellar-helper prevent live cache on
states switched
session
"#;

const SWITCHED: &str = r#"
states found
measure Asia 60
for what in logs noatime journal tmp; do sugar-cellar-helper prevent live $what off; done
as_learner sugar-cellar-helper prevent live cache off
states switched
session
"#;

const AFTER: &str = r#"
arranged arranged
states found
measure Africa 1
"#;

type States = BTreeMap<Measure, (MeasureState, bool)>;

/// What was told of each measure, the system's by root and the cache by the learner.
fn states(said: &str, when: &str) -> States {
    let told = |whose: &str| -> Vec<Prevention> {
        let start = format!("{when} {whose}: ");
        let line = said.lines().find_map(|line| line.strip_prefix(&start));
        match serde_json::from_str(line.expect(said)).expect(said) {
            Event::Prevented { measures, .. } => measures,
            other => panic!("{other:?}"),
        }
    };
    let (system, own) = (told("system"), told("own"));
    let all = system.into_iter().filter(|told| !told.measure.is_own());
    let own = own.into_iter().filter(|told| told.measure.is_own());
    all.chain(own)
        .map(|told| (told.measure, (told.state, told.effective)))
        .collect()
}

fn all(state: MeasureState, later: &[Measure]) -> States {
    let of = |measure| (measure, (state, !later.contains(&measure)));
    Measure::ALL.map(of).into_iter().collect()
}

/// By how many sectors the overlay grew meanwhile.
fn grew(said: &str) -> BTreeMap<String, u64> {
    let pair = |line: &str| {
        let (what, sectors) = line.split_once(' ').expect(line);
        (what.to_owned(), sectors.parse().expect(line))
    };
    lines(said, "grew: ").into_iter().map(pair).collect()
}

#[test]
fn what_lets_a_stick_fill_more_slowly_does_and_is_taken_back() {
    let Some(stick) = Live::stick("prevented", Format::Fat32, 400, 128) else {
        return;
    };
    let tools = tools(stick.place.path());
    let run = |when: &str, script: &str| {
        let said = stick.start(when, &[&tools], script).run().expect_ok();
        println!("{when}:\n{said}");
        said
    };
    let first = run("before", &format!("{INSTALL}{TOOLS}{BEFORE}"));
    let off = all(MeasureState::Off, &[]);
    assert_eq!(states(&first, "found"), off);
    let later = [Measure::Cache, Measure::Tmp];
    let on = all(MeasureState::On, &later);
    assert_eq!(states(&first, "switched"), on);
    let cache = ["XDG_CACHE_HOME=/run/user/1000/sugar-cellar-cache"];
    assert_eq!(lines(&first, "session: "), cache);

    let second = run("switched", &format!("{TOOLS}{SWITCHED}"));
    // No session of the learner's began.
    let on = all(MeasureState::On, &[Measure::Cache]);
    assert_eq!(states(&second, "found"), on);
    let off_soon = all(MeasureState::Off, &[Measure::Tmp]);
    assert_eq!(states(&second, "switched"), off_soon);
    assert_eq!(lines(&second, "session: "), [""; 0]);

    let third = run("after", &format!("{TOOLS}{AFTER}"));
    assert_eq!(states(&third, "found"), off);

    let figures = [&first, &second, &third].map(|said| grew(said));
    println!("before, switched on, and off again: {figures:?}");
    let [before, with, after] = figures;
    for what in ["log", "tmp", "read"] {
        assert!(with[what] < before[what], "{what}");
        assert!(with[what] < after[what], "{what}");
    }
    assert!(with["nothing"] <= before["nothing"]);
    for (said, tmp, kept, read, logged) in [
        (&first, "ext2/ext3", "1 0", "noted", "1"),
        (&second, "tmpfs", "1 1", "not noted", "0"),
        (&third, "ext2/ext3", "1 0", "noted", "1"),
    ] {
        assert_eq!(lines(said, "tmp: "), [tmp]);
        assert_eq!(lines(said, "kept: "), [kept]);
        assert_eq!(lines(said, "read: "), [read]);
        assert_eq!(lines(said, "logged: "), [logged]);
    }
    // Nothing is left but folders that were made for it.
    let places = |said: &str| -> Vec<String> {
        let made = [
            "local-fs.target.d",
            "journald.conf.d",
            ".config",
            "environment.d",
        ];
        let lines = lines(said, "arranged: ").into_iter();
        let kept = lines.filter(|line| !made.iter().any(|made| line.ends_with(made)));
        // Folders have one more in them.
        let plain = kept.filter(|line| !line.starts_with('d'));
        plain.map(str::to_owned).collect()
    };
    assert_eq!(places(&third), places(&first));
}
