//! What the program takes up, against the table in `docs/figures.md`.

use std::collections::BTreeMap;

/// What was measured at the end of a day, in KiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Measured {
    /// All rows that a backup holds.
    pub(super) rows: u64,
    /// The store's file, which has pages to spare.
    pub(super) store: u64,
    /// What the process has allocated.
    pub(super) memory: u64,
}

/// A row of the table; `None` where it says nothing.
type Row = [Option<u64>; 3];

pub(super) struct Figures {
    table: BTreeMap<u64, Row>,
    measured: BTreeMap<u64, Measured>,
}

impl Figures {
    /// Reads the table.
    pub(super) fn read() -> Self {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/figures.md");
        let text = std::fs::read_to_string(path).unwrap();
        let table: BTreeMap<_, _> = text.lines().filter_map(row).collect();
        assert!(!table.is_empty(), "{path} has no table");
        Self {
            table,
            measured: BTreeMap::new(),
        }
    }

    /// Whether the table has a row for this day.
    pub(super) fn wants(&self, day: u64) -> bool {
        self.table.contains_key(&day)
    }

    /// Takes a row, and prints it as the table has it.
    pub(super) fn note(&mut self, day: u64, measured: Measured) {
        let Measured {
            rows,
            store,
            memory,
        } = measured;
        println!("| {day} | {rows} | {store} | {memory} |");
        self.measured.insert(day, measured);
    }

    /// Each figure is the measured one, but for a tenth. Less of the file and of memory is no fault: how a file is filled
    /// and what an allocator keeps depends on the machine. So does the day on which the file grows by its next step (264 or
    /// 468 KiB on day 60 by the same program): it is compared with the largest of the year.
    pub(super) fn check(&self) {
        let largest_store = self.table.values().filter_map(|row| row[1]).max();
        let mut wrong = Vec::new();
        for (day, measured) in &self.measured {
            let Measured {
                rows,
                store,
                memory,
            } = *measured;
            let [rows_figure, _, memory_figure] = self.table[day];
            for (name, is, figure, both_ways) in [
                ("rows", rows, rows_figure, true),
                ("store", store, largest_store, false),
                ("memory", memory, memory_figure, false),
            ] {
                let Some(figure) = figure else { continue };
                let too_much = is * 10 > figure * 11;
                let too_little = both_ways && is * 10 < figure * 9;
                if too_much || too_little {
                    wrong.push(format!("day {day}: {name} {is} KiB, {figure} in the table"));
                }
            }
        }
        assert!(wrong.is_empty(), "docs/figures.md: {wrong:#?}");
    }
}

/// A row of numbers; `None` for any other line.
fn row(line: &str) -> Option<(u64, Row)> {
    let cells: Vec<_> = line.strip_prefix('|')?.split('|').map(str::trim).collect();
    let number = |index: usize| cells.get(index)?.replace(',', "").parse().ok();
    Some((number(0)?, [number(1), number(2), number(3)]))
}

#[test]
fn figures_are_read_with_their_thousands_and_their_gaps() {
    assert_eq!(
        row("| 360 | 1,234 | 5 | |"),
        Some((360, [Some(1_234), Some(5), None]))
    );
    assert_eq!(row("| Day | Rows | Store | Memory |"), None);
    assert_eq!(row("|---|---|---|---|"), None);
    assert_eq!(row("In 1 month"), None);
}
