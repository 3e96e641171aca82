//! Secrets as files: beside the configuration, or as systemd hands them over.

use std::path::Path;

use crate::command_line::SHIPPED;
use crate::support::installation::{end, program};

/// What `check-config --dump` says of the secrets, by this configuration.
async fn sources(config: &Path, folder: Option<&Path>) -> String {
    let mut command = program();
    command
        .args(["check-config", "--dump", "--config"])
        .arg(config);
    if let Some(folder) = folder {
        command.env("CREDENTIALS_DIRECTORY", folder);
    }
    let ended = end(&mut command).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(!ended.output.contains("token-of-mine"), "{ended:?}");
    ended.output
}

fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

#[tokio::test]
async fn a_secret_is_a_file_beside_the_configuration_or_what_systemd_hands_over() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.toml");
    std::fs::copy(SHIPPED, &config).unwrap();
    let none = sources(&config, None).await;
    assert!(
        none.contains("AMSER_ROLES_DISCORD_TOKEN: not set"),
        "{none}"
    );

    let beside = folder.path().join("secrets/discord_token");
    write(&beside, "token-of-mine\n");
    let told = sources(&config, None).await;
    let line = format!(
        "AMSER_ROLES_DISCORD_TOKEN: in the file {}",
        beside.display()
    );
    assert!(told.contains(&line), "{told}");
    assert!(told.contains("AMSER_ROLES_API_KEY: not set"), "{told}");

    // The service cannot read the folder of root's, so systemd's copies are the only ones.
    let handed_over = folder.path().join("credentials");
    let key = handed_over.join("amser_roles_api_key");
    write(&key, "token-of-mine-too");
    let told = sources(&config, Some(&handed_over)).await;
    assert!(
        told.contains("AMSER_ROLES_DISCORD_TOKEN: not set"),
        "{told}"
    );
    let line = format!("AMSER_ROLES_API_KEY: in the file {}", key.display());
    assert!(told.contains(&line), "{told}");
}

#[tokio::test]
async fn an_empty_file_of_a_secret_is_named_with_its_variable() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.toml");
    std::fs::copy(SHIPPED, &config).unwrap();
    let beside = folder.path().join("secrets/discord_token");
    write(&beside, "\n");
    let ended = end(program().args(["run", "--config"]).arg(&config)).await;
    assert_eq!(ended.code, Some(2), "{ended:?}");
    let told = format!("AMSER_ROLES_DISCORD_TOKEN: {} is empty", beside.display());
    assert!(ended.errors.contains(&told), "{ended:?}");
}
