//! Figures beside their baselines and targets.

use std::time::Duration;

/// What was measured.
#[derive(Debug)]
pub(crate) struct Figure {
    /// What, in a few words.
    pub(crate) what: String,
    /// How much.
    pub(crate) value: f64,
    /// In what unit.
    pub(crate) unit: &'static str,
    /// What it is compared with, in the same unit.
    pub(crate) baseline: Option<(&'static str, f64)>,
    /// What it should be.
    pub(crate) target: Option<Target>,
}

/// What a figure should be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    /// At least this.
    AtLeast(f64),
    /// At most this.
    AtMost(f64),
    /// At least this part of the baseline.
    RatioAtLeast(f64),
    /// At most this multiple of the baseline.
    RatioAtMost(f64),
}

impl Figure {
    /// A figure without baseline and target.
    pub(crate) fn new(what: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self { what: what.into(), value, unit, baseline: None, target: None }
    }

    /// A duration in milliseconds.
    pub(crate) fn ms(what: impl Into<String>, value: Duration) -> Self {
        Self::new(what, value.as_secs_f64() * 1e3, "ms")
    }

    /// Names what it is compared with.
    pub(crate) fn beside(self, name: &'static str, value: f64) -> Self {
        Self { baseline: Some((name, value)), ..self }
    }

    /// Names what it should be.
    pub(crate) fn target(self, target: Target) -> Self {
        Self { target: Some(target), ..self }
    }

    fn ratio(&self) -> Option<f64> {
        self.baseline.map(|(_, baseline)| self.value / baseline)
    }

    /// The target in words, and how far it is met: 1 is exactly.
    fn judged(&self) -> (String, Option<f64>) {
        let ratio = self.ratio().unwrap_or(f64::NAN);
        match self.target {
            None => (String::new(), None),
            Some(Target::AtLeast(target)) => {
                (format!("≥ {}", number(target)), Some(self.value / target))
            }
            Some(Target::AtMost(target)) => {
                (format!("≤ {}", number(target)), Some(target / self.value))
            }
            Some(Target::RatioAtLeast(target)) => {
                (format!("ratio ≥ {target}"), Some(ratio / target))
            }
            Some(Target::RatioAtMost(target)) => {
                (format!("ratio ≤ {target}"), Some(target / ratio))
            }
        }
    }

    fn cells(&self) -> [String; 5] {
        let baseline = self.baseline.map(|(name, value)| format!("{} {name}", number(value)));
        let ratio = self.ratio().map(|ratio| format!("{ratio:.2}"));
        let (target, met) = self.judged();
        let met = met.map_or("", |met| {
            if met >= 1.0 {
                ", met"
            } else if met >= 0.5 {
                ", missed"
            } else {
                ", below half"
            }
        });
        [
            self.what.clone(),
            format!("{} {}", number(self.value), self.unit),
            baseline.unwrap_or_default(),
            ratio.unwrap_or_default(),
            format!("{target}{met}"),
        ]
    }
}

/// All figures of a run.
#[derive(Debug, Default)]
pub(crate) struct Report {
    figures: Vec<Figure>,
}

impl Report {
    /// Takes a figure, and prints it at once.
    pub(crate) fn add(&mut self, figure: Figure) {
        println!("   {}", figure.cells().join("  |  "));
        self.figures.push(figure);
    }

    /// Prints the table.
    pub(crate) fn print(&self) {
        let mut rows =
            vec![["figure", "measured", "baseline", "ratio", "target"].map(str::to_owned)];
        rows.extend(self.figures.iter().map(Figure::cells));
        let mut widths = [0; 5];
        for row in &rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        println!();
        for row in &rows {
            let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
            println!("| {} |", cells.collect::<Vec<_>>().join(" | "));
        }
    }
}

/// Three figures or so.
fn number(value: f64) -> String {
    match value.abs() {
        large if large >= 100.0 => format!("{value:.0}"),
        middle if middle >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
