//! The disk, and who may read what.

use crate::doctor::facts::Facts;
use crate::domain::Finding;
use crate::text::counted;

/// Less free space than this is too little, in bytes.
const LITTLE: u64 = 1 << 30;
/// With less than this, the next write may fail.
const NOTHING: u64 = 100 << 20;
/// What others than a file's owner may do.
const OTHERS: u32 = 0o077;

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    let files = &facts.files;
    let path = facts.store.path.display();
    let mut findings = vec![space(&files.space), kind(files.network)];
    findings.push(match files.is_writable {
        true => Finding::ok(
            "disk.writable",
            format!("the folder of {path} can be written"),
        ),
        false => Finding::failure(
            "disk.writable",
            format!("the folder of {path} cannot be written, or a file stands in its place"),
            "make it the service's own (chown), or point store.path elsewhere",
        ),
    });
    let open: Vec<_> = files
        .private
        .iter()
        .filter(|(_, mode)| mode & OTHERS != 0)
        .collect();
    for (path, mode) in &open {
        let path = path.display();
        findings.push(Finding::warning(
            "files.mode",
            format!("{path} can be used by others than its owner (mode {mode:03o})"),
            format!("run chmod 600 {path}"),
        ));
    }
    if open.is_empty() {
        let count = counted(files.private.len() as u64, "file");
        let sentence = format!("{count} with secrets or links can be used by the owner alone");
        findings.push(Finding::ok("files.mode", sentence));
    }
    if let Some((path, mode)) = files
        .config_with_key
        .as_ref()
        .filter(|(_, mode)| mode & 0o007 != 0)
    {
        let path = path.display();
        findings.push(Finding::warning(
            "files.config",
            format!("{path} has a node's address with a key in it, and everybody on this machine may read it (mode {mode:03o})"),
            format!("run chmod 640 {path}, with the service's group"),
        ));
    }
    findings.push(match &files.cookie_key {
        Ok(()) => Finding::ok("files.cookie_key", "the key of the cookies is there, or is made at the first start"),
        Err(why) => Finding::failure(
            "files.cookie_key",
            why.clone(),
            "remove the file, so that a new key is made (everybody signs in again), or correct AMSER_ROLES_COOKIE_KEY",
        ),
    });
    findings
}

fn space(space: &Result<u64, String>) -> Finding {
    let name = "disk.space";
    match space {
        Err(why) => Finding::warning(
            name,
            format!("it is not known how much space is free: {why}"),
            "look at it with df",
        ),
        Ok(free) => {
            let sentence = format!("{} MiB are free for the store", free >> 20);
            let what_to_do = "make room: the store must be able to grow";
            match *free {
                ..NOTHING => Finding::failure(name, sentence, what_to_do),
                NOTHING..LITTLE => Finding::warning(name, sentence, what_to_do),
                _ => Finding::ok(name, sentence),
            }
        }
    }
}

fn kind(network: Option<&str>) -> Finding {
    let name = "disk.kind";
    match network {
        None => Finding::ok(name, "the store is on a disk of this machine"),
        Some(kind) => Finding::warning(
            name,
            format!(
                "the store is on a file system over a network ({kind}), which may lose what it says is written"
            ),
            "put the store on a disk of this machine",
        ),
    }
}
