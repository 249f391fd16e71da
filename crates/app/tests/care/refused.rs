//! Stores that the program does not touch, and what it says.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown},
    process::Command,
};

use attache_sandbox::people::ADA;

use crate::world::World;

/// The account of nobody.
const NOBODY: u32 = 65_534;

#[tokio::test(flavor = "multi_thread")]
async fn tables_of_another_version_are_refused_by_every_command() {
    const NEWER: &str = "INSERT INTO _sqlx_migrations (version, description, success, checksum, \
        execution_time) VALUES (9999, 'from the future', TRUE, x'00', 0)";
    let mut world = World::new().await;
    world.stop();
    let cases = [
        (NEWER, "written by a newer version (migration 9999"),
        (
            "UPDATE _sqlx_migrations SET version = 1, checksum = x'00' WHERE version = 1",
            "migration 1 was applied with another text",
        ),
        ("UPDATE _sqlx_migrations SET success = FALSE WHERE version = 2", "never finished"),
    ];
    let good = fs::read(world.folder.path("attache.db")).unwrap();
    for (sql, words) in cases {
        world.tamper(sql).await;
        for command in
            [&["serve"][..], &["audit", "verify"], &["audit", "list"], &["keys", "status"]]
        {
            let said = world.refused(command, 2);
            assert!(said.contains(words), "{command:?}: {said}");
        }
        fs::write(world.folder.path("attache.db"), &good).unwrap();
    }

    // Older tables wait for a gateway of this version.
    world.tamper("DELETE FROM _sqlx_migrations WHERE version = 2").await;
    for command in [&["audit", "list"], &["keys", "status"]] {
        let said = world.refused(command, 2);
        assert!(said.contains("older version (migration 2"), "{command:?}: {said}");
    }
    fs::write(world.folder.path("attache.db"), &good).unwrap();
    world.start().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_gateway_on_the_file_is_refused() {
    let world = World::new().await;
    let config = fs::read_to_string(world.folder.path("attache.toml")).unwrap();
    let elsewhere: Vec<&str> = config
        .lines()
        .filter(|line| !line.starts_with("listen") && !line.starts_with("admin_listen"))
        .collect();
    let ports = "listen = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"\n";
    let second = [ports, &elsewhere.join("\n")].concat();
    fs::write(world.folder.path("second.toml"), second).unwrap();
    let said = world.refused(&["serve", "--config", "second.toml"], 2);
    assert!(said.contains("another gateway serves from"), "{said}");
    // Commands do not serve.
    world.does(&["audit", "list"]);
    world.does(&["keys", "status"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_none_says_whose_move_it_is() {
    let mut world = World::new().await;
    world.connect(ADA).await;
    world.stop();
    let file = world.folder.path("attache.db");
    let good = fs::read(&file).unwrap();

    let mut header = good.clone();
    header[..100].fill(0xa5);
    fs::write(&file, header).unwrap();
    let said = world.refused(&["serve"], 2);
    assert!(said.contains("is not a SQLite database: restore a backup"), "{said}");
    for length in [good.len() / 2, 5_000] {
        fs::write(&file, &good[..length]).unwrap();
        let said = world.refused(&["serve"], 2);
        assert!(said.contains("is damaged"), "{length}: {said}");
    }
    fs::write(&file, &good).unwrap();

    world.configure("sqlite:/sys/attache.db");
    let said = world.refused(&["serve"], 2);
    assert!(said.contains("must not be read-only"), "{said}");
    world.configure("sqlite:missing/attache.db");
    let said = world.refused(&["serve"], 2);
    assert!(said.contains("its directory must exist"), "{said}");
    let said = world.refused(&["keys", "status"], 2);
    assert!(said.contains("is store.url right?"), "{said}");
    world.configure("sqlite:attache.db");
    world.start().await;
    world.gets_through(ADA).await;
}

/// No permission binds root: for root, nobody is asked to start it.
#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_store_is_refused() {
    let mut world = World::new().await;
    world.stop();
    let folder = world.folder.path("");
    let program = world.folder.path("attache");
    fs::copy(env!("CARGO_BIN_EXE_attache"), &program).unwrap();
    let root = fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    let names = ["", "attache", "attache.db", "attache.db-serving", "attache.toml", "attache.key"];
    for (mode_of_file, mode_of_folder, words) in [
        (0o400, 0o700, "this user must be allowed to write there"),
        (0o600, 0o500, "read-only: let this user write"),
    ] {
        for name in names {
            let path = folder.join(name);
            if root {
                chown(&path, Some(NOBODY), Some(NOBODY)).unwrap();
            }
            let mode = match name {
                "" => mode_of_folder,
                "attache.db" => mode_of_file,
                _ => 0o700,
            };
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        }
        let mut command = Command::new(if root { "setpriv".into() } else { program.clone() });
        if root {
            let account = format!("{NOBODY}");
            command.args(["--reuid", &account, "--regid", &account, "--clear-groups"]);
            command.arg(&program);
        }
        let output = command.arg("serve").env_remove("ATTACHE_KEY").current_dir(&folder).output();
        let output = output.unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(words), "{said}");
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
    }
}
