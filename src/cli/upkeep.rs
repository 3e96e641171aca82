//! `backup`, `restore`, `links` and `rebuild`: what they print.

use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressStyle};
use tokio_util::sync::CancellationToken;

use crate::app::upkeep;
use crate::config::Config;
use crate::store::{BackupManifest, Restored};
use crate::terminal::print_line;
use crate::text::counted;
use crate::web::control::RebuildStep;

pub(super) async fn backup(config: &Config, file: PathBuf) -> anyhow::Result<()> {
    let name = file.display().to_string();
    let manifest = upkeep::backup(config, file).await?;
    let content = content(&manifest);
    Ok(print_line(format!(
        "{name} holds {content}; it was read back and is whole"
    ))?)
}

pub(super) async fn restore(config: &Config, file: PathBuf, replace: bool) -> anyhow::Result<()> {
    let name = file.display().to_string();
    let Restored { manifest, kept } = upkeep::restore(config, file, replace).await?;
    let store = config.store_path.display();
    let content = content(&manifest);
    print_line(format!("{store} is what {name} holds: {content}"))?;
    if let Some(kept) = kept {
        let kept = kept.display();
        print_line(format!("the store before is kept as {kept}"))?;
    }
    Ok(())
}

fn content(manifest: &BackupManifest) -> String {
    let (links, at) = (counted(manifest.links, "link"), manifest.made_at);
    match manifest.cursor {
        Some(block) => format!("{links} and everything up to block {block}, as of {at}"),
        None => format!("{links} and nothing of a chain yet, as of {at}"),
    }
}

pub(super) async fn export(config: &Config, file: PathBuf) -> anyhow::Result<()> {
    let name = file.display().to_string();
    let count = upkeep::export(config, file).await?;
    let links = counted(count, "link");
    Ok(print_line(format!("{name} holds {links}"))?)
}

pub(super) async fn import(config: &Config, file: &Path) -> anyhow::Result<()> {
    let report = upkeep::import(config, file).await?;
    for refused in &report.refused {
        print_line(format!("line {}: {}", refused.line, refused.reason))?;
    }
    let (imported, known, refused) = (report.imported, report.known, report.refused.len());
    print_line(format!(
        "links: {imported} new, {known} here already, {refused} refused"
    ))?;
    anyhow::ensure!(
        refused == 0,
        "{}: {} refused; the others were taken",
        file.display(),
        counted(refused as u64, "link")
    );
    Ok(())
}

pub(super) async fn rebuild(
    config: &Config,
    from_chain: bool,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let bar = ProgressBar::new(0).with_style(ProgressStyle::with_template(
        "{spinner} {msg} {pos} of {len}  {wide_bar}  {eta} left",
    )?);
    let shown = bar.clone();
    let progress = move |step| {
        let (what, done, of) = match step {
            RebuildStep::Reading { done, of } => ("modules read again:", done, of),
            RebuildStep::Folding { done, of } => ("rows of events folded:", done, of),
            RebuildStep::Done { .. } => return,
        };
        shown.set_message(what);
        shown.set_length(of);
        shown.set_position(done);
    };
    let rebuilt = upkeep::rebuild(config, from_chain, progress, stop).await;
    bar.finish_and_clear();
    let rebuilt = rebuilt?;
    let (subjects, changed) = (rebuilt.subjects, rebuilt.changed);
    Ok(print_line(format!(
        "{subjects} plans, subscriptions and blocks were folded again; {changed} were not what the events say"
    ))?)
}
