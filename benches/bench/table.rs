//! The one table that comes out.

/// Rows of what was measured, what it was, and what it must be.
#[derive(Default)]
pub(crate) struct Table {
    rows: Vec<[String; 4]>,
    misses: usize,
}

impl Table {
    /// A row with a target; `holds` says whether it was met.
    pub(crate) fn row(&mut self, what: &str, value: String, target: &str, holds: bool) {
        self.misses += usize::from(!holds);
        let verdict = match (target.is_empty(), holds) {
            (true, true) => "",
            (false, true) => "ok",
            (_, false) => "MISSED",
        };
        // A run takes a while; whoever watches sees each row as it comes.
        eprintln!("  {what}: {value} {verdict}");
        self.rows.push([
            what.to_owned(),
            value,
            target.to_owned(),
            verdict.to_owned(),
        ]);
    }

    /// A row that only tells.
    pub(crate) fn note(&mut self, what: &str, value: String) {
        self.row(what, value, "", true);
    }

    /// Prints it to standard output.
    pub(crate) fn print(&self) {
        let head = ["measured", "result", "target", ""].map(str::to_owned);
        let mut widths = [0; 4];
        for row in [&head].into_iter().chain(&self.rows) {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let line = |row: &[String; 4]| {
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

    /// An error when a target was missed.
    pub(crate) fn verdict(&self) -> anyhow::Result<()> {
        anyhow::ensure!(self.misses == 0, "{} targets were missed", self.misses);
        Ok(())
    }
}

/// The middle one.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The value below which `percent` of them lie; sorts them.
pub(crate) fn percentile(values: &mut [f64], percent: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    values
        .get((values.len() * percent / 100).min(values.len() - 1))
        .copied()
        .unwrap_or(f64::NAN)
}
