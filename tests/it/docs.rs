//! README.md, SECURITY.md and docs/ say nothing that is not so: their commands are run, and what they name is there.
//!
//! A block marked `sh` holds commands of the program, which are run; comment lines behind one are lines that it prints, in which
//! `…` stands for anything and a number for any number. A block marked `console` is for somebody's own server, and is only
//! checked for shape. A block marked `toml` is a part of a valid configuration.

mod commands;
mod links;
mod names;
mod shape;

use std::path::{Path, PathBuf};

/// A fenced block of a page.
#[derive(Debug)]
pub(crate) struct Block {
    /// The page and the line, to be found by.
    pub(crate) place: String,
    /// What is behind the fence: `sh`, `console`, …
    kind: String,
    pub(crate) lines: Vec<String>,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every page, by its path in the repository.
fn pages() -> Vec<PathBuf> {
    let mut pages = vec![PathBuf::from("README.md"), PathBuf::from("SECURITY.md")];
    let inside = files(Path::new("docs"), "md");
    assert!(inside.len() > 10, "{inside:?}");
    pages.extend(inside);
    pages
}

/// The files below a folder whose names end so, in order.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(root().join(&folder)).unwrap() {
            let entry = entry.unwrap();
            let path = folder.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                if entry.file_name() != "node_modules" {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|known| known == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The fenced blocks of a page; and the rest of it, line by line, in which blocks are empty lines.
fn parts(page: &Path) -> (Vec<Block>, Vec<String>) {
    let (mut blocks, mut prose) = (Vec::<Block>::new(), Vec::new());
    let mut open = None::<Block>;
    for (index, line) in read(page).lines().enumerate() {
        let fence = line.trim_start().strip_prefix("```");
        match (fence, &mut open) {
            (Some(kind), None) => {
                open = Some(Block {
                    place: format!("{}:{}", page.display(), index + 1),
                    kind: kind.trim().to_owned(),
                    lines: Vec::new(),
                });
            }
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some(block)) => block.lines.push(line.trim().to_owned()),
            (None, None) => {
                prose.push(line.to_owned());
                continue;
            }
        }
        prose.push(String::new());
    }
    assert!(open.is_none(), "{}: a block has no end", page.display());
    (blocks, prose)
}

/// The blocks of all pages that are of such a kind.
pub(crate) fn blocks(kind: &str) -> Vec<Block> {
    let all = pages().into_iter().flat_map(|page| parts(&page).0);
    let is_it = |block: &Block| block.kind.split(' ').next() == Some(kind);
    all.filter(is_it).collect()
}

/// What stands between backquotes in the prose of a page.
fn spans(page: &Path) -> Vec<String> {
    let text = parts(page).1.join("\n");
    let spans = text.split('`').skip(1).step_by(2);
    spans.map(|span| span.replace('\n', " ")).collect()
}

#[test]
fn every_block_says_what_it_is() {
    for page in pages() {
        for block in parts(&page).0 {
            let known = [
                "sh",
                "sh new-machine",
                "console",
                "toml",
                "text",
                "nginx",
                "caddyfile",
                "yaml",
                "json",
                "ini",
            ];
            let (kind, place) = (block.kind.as_str(), &block.place);
            assert!(known.contains(&kind), "{place}: a block of kind {kind:?}");
        }
    }
}
