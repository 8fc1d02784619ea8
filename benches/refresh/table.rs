//! The figures, and whether they are what is asked for.

use super::Touched;
use super::limit::Limit;
use super::measure::Figures;
use std::fmt;

/// Times faster than the classic way, by per cent of chunks changed: least, and aim.
const FASTER: [(u64, f64, f64); 2] = [(5, 20.0, 30.0), (1, 45.0, 60.0)];
const LIMIT: f64 = 1.3;
/// How much larger than the classic image the new one may be, in per cent.
const LARGER: f64 = 1.0;
const MEMORY: u64 = 64 << 20;
const STATUS: f64 = 0.050;
const EXPLAINED: f64 = 3.0;
const EXPLAINED_MEMORY: u64 = 128 << 20;
const MIB: f64 = (1 << 20) as f64;

/// One kind of refresh.
#[derive(Debug)]
pub struct Refresh {
    pub percent: u64,
    pub keep: bool,
    /// What each run took, and the limit right after it.
    pub runs: Vec<(Figures, Limit)>,
    /// Peak memory with four threads.
    pub four_threads: u64,
    pub image_bytes: u64,
    pub touched: Touched,
}

impl Refresh {
    fn median(&self, of: impl Fn(&Figures, &Limit) -> f64) -> f64 {
        let mut all: Vec<f64> = self
            .runs
            .iter()
            .map(|(run, limit)| of(run, limit))
            .collect();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    }

    fn figures(&self) -> Figures {
        Figures {
            wall: self.median(|run, _| run.wall),
            processor: self.median(|run, _| run.processor),
            peak: self.runs.iter().map(|(run, _)| run.peak).max().unwrap_or(0),
        }
    }

    /// Run by run, so that a machine that changes its mind between two runs changes nothing.
    fn by_limit(&self) -> f64 {
        self.median(|run, limit| run.wall / limit.seconds())
    }
}

/// All that was measured.
#[derive(Debug, Default)]
pub struct Table {
    pub status: f64,
    /// Of `explain`, quick and with all compared.
    pub explained: [Figures; 2],
    /// The classic way's figures, and its image's size, for 5 %.
    pub classic: Option<(Figures, u64)>,
    pub refreshes: Vec<Refresh>,
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = |f: &mut fmt::Formatter<'_>, name: &str, figures: &Figures, bytes: u64| {
            write!(
                f,
                "{name:<28}{:>8.1}{:>8.1}{:>8.0}{:>9.1}",
                figures.wall,
                figures.processor,
                figures.peak as f64 / MIB,
                bytes as f64 / MIB
            )
        };
        writeln!(
            f,
            "\n{:<28}{:>8}{:>8}{:>8}{:>9}{:>8}{:>8}{:>8}{:>9}{:>8}{:>8}",
            "",
            "wall s",
            "CPU s",
            "MiB",
            "image",
            "wall x",
            "CPU x",
            "limit",
            "of limit",
            "strict",
            "blocks"
        )?;
        if let Some((classic, bytes)) = &self.classic {
            row(f, "classic, 5 %", classic, *bytes)?;
            writeln!(f)?;
        }
        for one in &self.refreshes {
            let figures = one.figures();
            row(
                f,
                &super::name(one.percent, one.keep),
                &figures,
                one.image_bytes,
            )?;
            if let Some((classic, _)) = &self.classic {
                write!(
                    f,
                    "{:>8.1}{:>8.1}",
                    classic.wall / figures.wall,
                    classic.processor / figures.processor
                )?;
            }
            writeln!(
                f,
                "{:>8.1}{:>9.2}{:>8.2}{:>8}",
                one.median(|_, limit| limit.seconds()),
                one.by_limit(),
                one.median(|run, limit| run.wall / limit.strict()),
                one.touched.compressed.len() + one.touched.dense.len()
            )?;
        }
        for one in &self.refreshes {
            writeln!(
                f,
                "limit of {}: copy and sync {:.2} s, compress {} blocks {:.2} s, {} dense ones {:.2} s, read {:.2} s",
                super::name(one.percent, one.keep),
                one.median(|_, limit| limit.copy),
                one.touched.compressed.len(),
                one.median(|_, limit| limit.compress),
                one.touched.dense.len(),
                one.median(|_, limit| limit.dense),
                one.median(|_, limit| limit.read)
            )?;
        }
        let all = self.explained[1].wall;
        writeln!(
            f,
            "explain, all compared (each block of the image decompressed once): {all:.2} s"
        )?;
        writeln!(f)?;
        self.goals(f)
    }
}

impl Table {
    fn goals(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut goal = |name: String, value: f64, limit: f64, at_least: bool, aim: Option<f64>| {
            let met = |limit: f64| {
                if at_least {
                    value >= limit
                } else {
                    value <= limit
                }
            };
            let word = match (met(limit), aim.map(met)) {
                (false, _) => "MISSED",
                (true, Some(true)) => "met, and its aim",
                (true, _) => "met",
            };
            let sign = if at_least { ">=" } else { "<=" };
            writeln!(f, "{word:<18}{name}: {value:.2} {sign} {limit}")
        };
        let status = self.status * 1000.0;
        goal(
            "status, ms".into(),
            status,
            STATUS * 1000.0,
            false,
            Some(20.0),
        )?;
        let [quick, compared] = &self.explained;
        goal(
            "explain --quick, s".into(),
            quick.wall,
            EXPLAINED,
            false,
            None,
        )?;
        let peak = quick.peak.max(compared.peak) as f64 / MIB;
        let most = EXPLAINED_MEMORY as f64 / MIB;
        goal("explain, peak MiB".into(), peak, most, false, None)?;
        for one in &self.refreshes {
            let figures = one.figures();
            let name = |what: &str| format!("{}, {what}", super::name(one.percent, one.keep));
            if let Some((classic, bytes)) = self.classic {
                for (percent, least, aim) in FASTER {
                    if percent == one.percent {
                        let wall = classic.wall / figures.wall;
                        let processor = classic.processor / figures.processor;
                        goal(name("times faster, wall"), wall, least, true, Some(aim))?;
                        goal(name("times faster, CPU"), processor, least, true, Some(aim))?;
                    }
                }
                // The classic image holds the same bytes only where deleted files' are kept.
                if one.percent == 5 && one.keep {
                    let larger = (one.image_bytes as f64 / bytes as f64 - 1.0) * 100.0;
                    goal(name("% larger"), larger, LARGER, false, None)?;
                }
            }
            goal(
                name("wall by the limit"),
                one.by_limit(),
                LIMIT,
                false,
                None,
            )?;
            let memory = figures.peak.max(one.four_threads) as f64 / MIB;
            goal(
                name("peak MiB, 4 threads"),
                memory,
                MEMORY as f64 / MIB,
                false,
                None,
            )?;
        }
        Ok(())
    }
}
