//! The one table that comes out: each figure beside its floor, which was measured in the same run. What depends on the
//! machine is judged by the ratio of the two, so that a busy or slow machine changes nothing.

use std::fmt::Display;

/// Rows of what was measured, what it was, and what it must be.
#[derive(Default)]
pub(crate) struct Table {
    rows: Vec<[String; 6]>,
    misses: usize,
}

impl Table {
    /// A row with a bound of its own; `holds` says whether it was met.
    pub(crate) fn row(&mut self, what: &str, value: impl Display, bound: &str, holds: bool) {
        self.push([what, &value.to_string(), "", "", bound], Some(holds));
    }

    /// A row that is judged by how many times its floor it is.
    pub(crate) fn ratio(
        &mut self,
        what: &str,
        value: impl Display,
        floor: impl Display,
        ratio: f64,
        most: f64,
    ) {
        let cells = [
            what,
            &value.to_string(),
            &floor.to_string(),
            &format!("{ratio:.2}"),
            &format!("<= {most} x floor"),
        ];
        self.push(cells, Some(ratio <= most));
    }

    /// A row that only tells.
    pub(crate) fn note(&mut self, what: &str, value: impl Display) {
        self.push([what, &value.to_string(), "", "", ""], None);
    }

    fn push(&mut self, cells: [&str; 5], holds: Option<bool>) {
        self.misses += usize::from(holds == Some(false));
        let verdict = match holds {
            None => "",
            Some(true) => "ok",
            Some(false) => "MISSED",
        };
        let [what, value, floor, ratio, bound] = cells.map(str::to_owned);
        // A run takes a while; whoever watches sees each row as it comes.
        eprintln!("  {what}: {value} | {floor} | {ratio} | {bound} {verdict}");
        self.rows
            .push([what, value, floor, ratio, bound, verdict.to_owned()]);
    }

    /// Prints it to standard output.
    pub(crate) fn print(&self) {
        let head = ["measured", "value", "floor", "ratio", "bound", ""].map(str::to_owned);
        let mut widths = [0; 6];
        for row in [&head].into_iter().chain(&self.rows) {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let line = |row: &[String; 6]| {
            let cells: Vec<String> = row
                .iter()
                .zip(widths)
                .map(|(cell, width)| format!("{cell:<width$}"))
                .collect();
            println!("| {} |", cells.join(" | "));
        };
        line(&head);
        line(&widths.map(|width| "-".repeat(width)));
        self.rows.iter().for_each(line);
    }

    /// An error when a bound was missed.
    pub(crate) fn verdict(&self) -> anyhow::Result<()> {
        anyhow::ensure!(self.misses == 0, "{} bounds were missed", self.misses);
        Ok(())
    }
}

/// The middle one.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The value below which `percent` of them lie.
pub(crate) fn percentile(values: &[f64], percent: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let index = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(index).copied().unwrap_or(f64::NAN)
}

/// Median and 99th percentile of milliseconds, as text.
pub(crate) fn millis(values: &[f64]) -> String {
    let (p50, p99) = (percentile(values, 50), percentile(values, 99));
    format!("p50 {p50:.1} ms, p99 {p99:.1} ms")
}
