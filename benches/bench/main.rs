//! `make bench`: one table of what the program promises. Each row group has a file; heavy rows run in processes of
//! their own (this program, started again with a task's name), so that each is measured alone.

mod backfill;
mod drift;
mod floors;
mod forecast;
mod join;
mod large;
mod latency;
mod links;
mod node;
mod pages;
mod pass;
mod people;
mod process;
mod scene;
#[expect(
    clippy::unwrap_used,
    reason = "a chain that cannot be seeded ends the run; the tests seed theirs with it, too"
)]
#[path = "../../tests/it/forecast/seed.rs"]
mod seed;
mod table;
mod tip;

use anyhow::Context;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        // cargo bench passes it to every benchmark.
        .filter(|argument| argument != "--bench")
        .collect();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("starting the runtime")?;
    runtime.block_on(async {
        match arguments.first().map(String::as_str) {
            Some("task") => match arguments.get(1).map(String::as_str) {
                Some("node") => node::task(&arguments[2..]).await,
                Some("backfill") => backfill::task(&arguments[2..]).await,
                Some("floor") => backfill::floor::task(&arguments[2..]).await,
                Some("grow") => large::grow(&arguments[2..]).await,
                Some("serve") => large::serve(&arguments[2..]).await,
                Some("poll") => drift::task(&arguments[2..]).await,
                Some("picture") => people::task(&arguments[2..]),
                task => anyhow::bail!("there is no task {task:?}"),
            },
            // Row groups by name; none: all.
            _ => {
                let mut table = table::Table::default();
                let wanted =
                    |group: &str| arguments.is_empty() || arguments.iter().any(|a| a == group);
                if wanted("backfill") {
                    backfill::speed(&mut table).await?;
                }
                if wanted("limits") {
                    backfill::limits(&mut table).await?;
                }
                if wanted("year") {
                    backfill::year::year(&mut table).await?;
                }
                if wanted("blooms") {
                    tip::blooms(&mut table).await?;
                }
                if wanted("many") {
                    tip::many::many(&mut table).await?;
                }
                if wanted("join") {
                    join::join(&mut table).await?;
                }
                if wanted("large") {
                    large::large(&mut table).await?;
                }
                if wanted("latency") {
                    latency::latency(&mut table).await?;
                }
                if wanted("pass") {
                    pass::pass(&mut table).await?;
                }
                if wanted("people") {
                    people::people(&mut table).await?;
                }
                if wanted("forecast") {
                    forecast::forecast(&mut table).await?;
                }
                if wanted("links") {
                    links::links(&mut table).await?;
                }
                if wanted("drift") {
                    drift::drift(&mut table).await?;
                }
                if wanted("pages") {
                    pages::pages(&mut table).await?;
                }
                table.print();
                table.verdict()
            }
        }
    })
}
