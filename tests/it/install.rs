//! What a merchant installs: the package's files, the container's, and what systemd is told. `make package-test` installs and
//! runs the real package and image.

mod secrets;
mod systemd;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use amser_roles::config::Config;
use tokio::process::Command;

use crate::support::installation::{end, program};

fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(name: &str) -> String {
    std::fs::read_to_string(here().join(name)).unwrap()
}

/// What `systemd-analyze` says of the units, whose program is the one of this build.
async fn analyze(arguments: &[&str], units: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new("systemd-analyze");
    command.args(arguments);
    for unit in units {
        let text = read(&format!("packaging/{unit}"));
        let text = text.replace(
            "/usr/bin/amser-roles ",
            concat!(env!("CARGO_BIN_EXE_amser-roles"), " "),
        );
        std::fs::write(folder.path().join(unit), text).unwrap();
        command.arg(folder.path().join(unit));
    }
    let ended = command.output().await;
    let ended = ended.expect("systemd-analyze is missing: run `make systemd`, or install systemd");
    let told = [ended.stdout, ended.stderr].map(|told| String::from_utf8_lossy(&told).into_owned());
    let told = told.concat();
    assert!(ended.status.success(), "{told}");
    told
}

#[tokio::test]
async fn the_units_are_valid_and_hardened() {
    let services = ["amser-roles.service", "amser-roles-backup.service"];
    let all = [services[0], services[1], "amser-roles-backup.timer"];
    let told = analyze(&["verify", "--man=no"], &all).await;
    assert!(!told.contains("amser-roles"), "no complaint: {told}");
    for service in services {
        // The threshold is in tenths.
        analyze(
            &["security", "--offline=true", "--threshold=20", "--no-pager"],
            &[service],
        )
        .await;
    }
}

#[tokio::test]
async fn the_packaged_configuration_is_valid_with_absolute_paths_and_is_what_the_units_use() {
    let ended = end(program()
        .args(["check-config", "--config"])
        .arg(here().join("packaging/config.toml")))
    .await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(!ended.output.contains("relative"), "{ended:?}");
    let config = Config::parse(&read("packaging/config.toml"), "packaged", []).unwrap();
    let store = config.store_path.display().to_string();
    assert_eq!(store, "/var/lib/amser-roles/amser-roles.redb");
    let backup = read("packaging/amser-roles-backup.service");
    assert!(
        backup.contains(&format!("ConditionPathExists={store}\n")),
        "{backup}"
    );
    for service in [read("packaging/amser-roles.service"), backup] {
        assert!(
            service.contains("--config /etc/amser-roles/config.toml"),
            "{service}"
        );
        assert!(service.contains("StateDirectory=amser-roles"), "{service}");
    }
}

/// The commands that the help names.
async fn commands() -> BTreeSet<String> {
    let help = end(program().arg("--help")).await.output;
    let listed = help
        .split("Commands:")
        .nth(1)
        .unwrap()
        .split("Options:")
        .next()
        .unwrap();
    let names = listed
        .lines()
        .filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    let names = names.filter(|name| !["", "help"].contains(name));
    names.map(str::to_owned).collect()
}

#[tokio::test]
async fn man_pages_and_completions_name_each_command_and_none_that_is_hidden() {
    let folder = tempfile::tempdir().unwrap();
    let made = end(program().arg("package-files").arg(folder.path())).await;
    assert_eq!(made.code, Some(0), "{made:?}");
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    let commands = commands().await;
    assert!(
        commands.len() >= 10 && commands.contains("run"),
        "{commands:?}"
    );
    let main = read("amser-roles.1");
    for command in &commands {
        let page = read(&format!("amser-roles-{command}.1"));
        assert!(page.contains(".TH"), "{page}");
        // A man page writes a hyphen with a backslash.
        let in_page = format!("amser\\-roles\\-{}", command.replace('-', "\\-"));
        assert!(main.contains(&in_page), "{command}: {main}");
        for completions in ["amser-roles.bash", "_amser-roles", "amser-roles.fish"] {
            assert!(
                read(completions).contains(command),
                "{completions}: {command}"
            );
        }
    }
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        assert!(!text.contains("package-files"), "{text}");
    }
}

/// The paths that cargo-deb is told to pack.
fn packed() -> Vec<PathBuf> {
    let manifest: toml::Table = toml::from_str(&read("Cargo.toml")).unwrap();
    let assets = manifest["package"]["metadata"]["deb"]["assets"]
        .as_array()
        .unwrap();
    let sources = assets
        .iter()
        .map(|asset| PathBuf::from(asset[0].as_str().unwrap()));
    sources.collect()
}

#[test]
fn the_package_has_every_file_that_it_names() {
    let names: Vec<_> = std::fs::read_dir(here().join("packaging"))
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    for path in packed() {
        let pattern = path.display().to_string();
        if pattern.starts_with("target/") {
            continue;
        }
        let found = match pattern.strip_prefix("packaging/*") {
            Some(ending) => names.iter().any(|name| name.ends_with(ending)),
            None => here().join(&path).is_file(),
        };
        assert!(found, "{pattern}");
    }
}

#[test]
fn the_container_is_unprivileged_and_has_one_volume_a_healthcheck_and_no_secret() {
    let file = read("Containerfile");
    let stages = file
        .lines()
        .filter(|line| line.starts_with("FROM "))
        .count();
    assert_eq!(stages, 2, "{file}");
    let (_, last) = file.rsplit_once("FROM ").unwrap();
    for line in [
        "\nUSER 10001\n",
        "\nVOLUME /data\n",
        "\nHEALTHCHECK ",
        "[\"amser-roles\", \"healthcheck\"]",
        "\nENTRYPOINT [\"amser-roles\"]\n",
    ] {
        assert!(last.contains(line), "{line:?}: {last}");
    }
    let variables = last.split_whitespace().filter_map(|word| {
        word.split_once('=')
            .filter(|(name, _)| name.starts_with("AMSER_ROLES_"))
    });
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let text = read("packaging/config.toml");
    let config = Config::parse(&text, "in a container", variables).unwrap();
    assert_eq!(config.web.listen.to_string(), "0.0.0.0:8787");
    assert_eq!(config.web.trusted_proxies.len(), 4);

    let compose = read("compose.yaml");
    assert!(compose.lines().count() < 25, "{compose}");
    for line in [
        "read_only: true",
        "cap_drop: [ALL]",
        "no-new-privileges:true",
        "\"127.0.0.1:8787:8787\"",
        "data:/data",
    ] {
        assert!(compose.contains(line), "{line}: {compose}");
    }
    for proxy in ["caddy", "nginx"] {
        let text = read(&format!("packaging/compose.{proxy}.yaml"));
        assert!(
            text.contains("no-new-privileges:true") && text.contains("cap_drop: [ALL]"),
            "{text}"
        );
        assert!(text.contains("amser-roles:8787"), "{text}");
    }
    let nginx = read("packaging/nginx.conf");
    assert!(
        nginx.contains("proxy_buffering off;") && nginx.contains("$proxy_add_x_forwarded_for"),
        "{nginx}"
    );
}

/// Everything that the program is compiled from, so that the image's build does not miss a file.
#[test]
fn the_image_is_built_from_every_file_that_the_source_includes_and_from_no_secret() {
    let rules = read(".containerignore");
    let let_in: Vec<_> = rules
        .lines()
        .filter_map(|line| line.strip_prefix('!'))
        .collect();
    let mut folders = vec![here().join("src")];
    let mut included = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            for name in text
                .split("include_str!(\"")
                .skip(1)
                .filter_map(|rest| rest.split('"').next())
            {
                let file = path.parent().unwrap().join(name).canonicalize();
                let file = file.unwrap_or_else(|error| panic!("{name}: {error}"));
                let file = file
                    .strip_prefix(here().canonicalize().unwrap())
                    .unwrap()
                    .to_owned();
                assert!(
                    let_in.iter().any(|known| file.starts_with(known)),
                    "{}",
                    file.display()
                );
                included += 1;
            }
        }
    }
    assert!(included > 10, "{included}");
    for line in rules.lines().filter(|line| !line.starts_with('#')) {
        assert!(
            line == "*" || line.starts_with('!'),
            "only what is named gets in: {line}"
        );
    }
    assert_eq!(read(".dockerignore"), rules, "Docker reads its own file");
}
