//! Each relative link leads to a file that is there, and to a heading of it.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use super::{files, pages, parts, root};

/// The targets of a page's links.
fn targets(page: &Path) -> Vec<String> {
    let text = parts(page).1.join("\n");
    // Between backquotes nothing is a link.
    let text: String = text.split('`').step_by(2).collect::<Vec<_>>().join("code");
    let behind = text.split("](").skip(1);
    let targets = behind.filter_map(|rest| Some(rest.split_once(')')?.0.to_owned()));
    targets.collect()
}

/// The anchors of a page's headings, as GitHub makes them.
fn anchors(page: &Path) -> BTreeSet<String> {
    let prose = parts(page).1;
    let headings = prose.iter().filter(|line| line.starts_with('#'));
    let anchor = |heading: &String| {
        let heading = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = heading.chars().filter_map(|letter| match letter {
            ' ' => Some('-'),
            '-' | '_' => Some(letter),
            letter if letter.is_alphanumeric() => Some(letter),
            _ => None,
        });
        kept.collect()
    };
    headings.map(anchor).collect()
}

/// The path without `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                assert!(plain.pop(), "{} leads out", path.display());
            }
            other => plain.push(other),
        }
    }
    plain
}

/// The files of the repository that a page leads to.
fn led_to(page: &Path) -> BTreeSet<PathBuf> {
    let mut led_to = BTreeSet::new();
    for target in targets(page) {
        if target.contains("://") || target.starts_with("mailto:") {
            continue;
        }
        let (file, anchor) = target.split_once('#').unwrap_or((&target, ""));
        let path = match file {
            "" => page.to_owned(),
            file => plain(&page.parent().unwrap().join(file)),
        };
        let place = format!("{} links to {target}", page.display());
        assert!(root().join(&path).exists(), "{place}, which is not there");
        if !anchor.is_empty() {
            let anchors = anchors(&path);
            assert!(anchors.contains(anchor), "{place}; there is {anchors:?}");
        }
        led_to.insert(path);
    }
    led_to
}

#[test]
fn every_relative_link_leads_to_something() {
    for page in pages() {
        led_to(&page);
    }
}

#[test]
fn the_index_leads_to_every_page_and_the_readme_to_the_index() {
    let index = led_to(Path::new("docs/README.md"));
    for page in files(Path::new("docs"), "md") {
        let is_there = index.contains(&page) || page == Path::new("docs/README.md");
        assert!(is_there, "{} is not in the index", page.display());
    }
    let readme = led_to(Path::new("README.md"));
    for page in ["docs/README.md", "SECURITY.md"] {
        assert!(readme.contains(Path::new(page)), "{page}");
    }
}

#[test]
fn the_readme_is_short() {
    let lines = super::read("README.md").lines().count();
    assert!(
        lines <= 80,
        "README.md has {lines} lines: move some to docs/"
    );
}
