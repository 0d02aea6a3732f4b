//! What lies in the database and in the log, and what happens to it.

use std::fs;
use std::sync::Arc;

use data_encoding::HEXLOWER;

use crate::box_key::BoxKey;
use crate::harness::{CLOUDFLARE_TOKEN, Registrar, SEALING_KEY, Where, agent, contains, files_below};
use crate::on_both_databases;

on_both_databases!(
    no_secret_lies_in_the_database_or_the_log,
    another_sealing_key_is_noticed_before_anything_is_done,
    a_stop_lets_the_running_requests_end,
);

#[cfg(postgresql)]
fn everything_in_the_database(place: &Where) -> Vec<u8> {
    if let Some(database) = &place.postgres {
        return crate::postgres::dump(database);
    }
    sqlite_files(place)
}

#[cfg(not(postgresql))]
fn everything_in_the_database(place: &Where) -> Vec<u8> {
    sqlite_files(place)
}

fn sqlite_files(place: &Where) -> Vec<u8> {
    let files = files_below(place.directory.path());
    let ours = files.iter().filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("registrar.db"));
    ours.flat_map(|path| fs::read(path).unwrap()).collect()
}

fn no_secret_lies_in_the_database_or_the_log(place: &Where) {
    let mut registrar = Registrar::start(place);
    let (unused, used) = (registrar.ticket("ada"), registrar.ticket("ada"));
    let person_token = registrar.key.token_of("ada");
    let registered = registrar.register(&used, &BoxKey::new(1)).expect(200);
    registrar.register(&used, &BoxKey::new(2)).expect_problem(409, "already_claimed");
    let id = &registered["device_id"];
    let issued = registrar.as_person("ada", "POST", "/device-tokens", Some(&serde_json::json!({ "device_id": id })));
    let issued = issued.expect(201)["token"].as_str().unwrap().to_owned();
    let command_line = fs::read(format!("/proc/{}/cmdline", registrar.pid())).unwrap();
    let environment = fs::read(format!("/proc/{}/environ", registrar.pid())).unwrap();
    let stored = everything_in_the_database(place);
    assert!(contains(&stored, id.as_str().unwrap().as_bytes()), "this is the database");
    assert!(registrar.stop().success());
    let log = registrar.log();
    assert!(log.contains("registered"), "{log}");

    let secret = registered["shared_secret"].as_str().unwrap();
    let raw = HEXLOWER.decode(secret.as_bytes()).unwrap();
    let tunnel_token = registered["tunnel_token"].as_str().unwrap();
    for secret in [secret, tunnel_token, &unused, &used, &person_token, &issued, CLOUDFLARE_TOKEN, SEALING_KEY] {
        for place in [&stored, log.as_bytes(), &command_line, &environment] {
            assert!(!contains(place, secret.as_bytes()), "{secret}");
        }
    }
    let base64 = data_encoding::BASE64.encode(&raw);
    assert!(!contains(&stored, &raw) && !contains(&stored, &base64.as_bytes()[..42]));
}

fn another_sealing_key_is_noticed_before_anything_is_done(place: &Where) {
    let mut registrar = Registrar::start(place);
    let ticket = registrar.ticket("ada");
    let first = registrar.register(&ticket, &BoxKey::new(1)).expect(200);
    assert!(registrar.stop().success());
    place.write_secret("sealing-key", &SEALING_KEY.replace('9', "8"));
    let (cloudflare, key) = (Arc::clone(&registrar.cloudflare), Arc::clone(&registrar.key));
    let refused = Registrar::spawn(place, cloudflare, key, agent()).err().unwrap();
    assert!(refused.contains("another sealing key"), "{refused}");
    place.write_secret("sealing-key", SEALING_KEY);
    let registrar = registrar.restart_killed(place);
    assert_eq!(registrar.register(&ticket, &BoxKey::new(1)).expect(200), first);
}

fn a_stop_lets_the_running_requests_end(place: &Where) {
    let mut registrar = Registrar::start(place);
    let (ticket, device) = (registrar.ticket("ada"), BoxKey::new(1));
    registrar.cloudflare.fault(&serde_json::json!({ "operation": "create_record", "kind": "held", "times": 1 }));
    let body = serde_json::json!({ "ticket": ticket, "public_key": device.public(), "proof": device.proof(&ticket) });
    let url = format!("{}/register-device", registrar.url);
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| crate::harness::call(&agent(), "POST", &url, None, Some(&body)).expect(200));
        registrar.cloudflare.wait_for_held();
        registrar.terminate();
        registrar.cloudflare.repair();
        asking.join().unwrap();
    });
    assert!(registrar.wait().success());
}

#[test]
fn a_secret_that_everybody_may_read_is_not_used() {
    use std::os::unix::fs::PermissionsExt;
    let place = Where::sqlite();
    let mut registrar = Registrar::start(&place);
    assert!(registrar.stop().success());
    for name in ["sealing-key", "cloudflare-token"] {
        fs::set_permissions(place.file(name), fs::Permissions::from_mode(0o604)).unwrap();
        let (cloudflare, key) = (Arc::clone(&registrar.cloudflare), Arc::clone(&registrar.key));
        let refused = Registrar::spawn(&place, cloudflare, key, agent()).err().unwrap();
        assert!(refused.contains(name) && refused.contains("0600"), "{refused}");
        fs::set_permissions(place.file(name), fs::Permissions::from_mode(0o600)).unwrap();
    }
    let mode = fs::metadata(place.file("registrar.db")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[cfg(postgresql)]
mod on_postgresql_alone {
    use super::*;
    use crate::postgres::run;

    #[test]
    fn two_registrars_share_one_database() {
        let place = Where::postgres();
        let first = Registrar::start(&place);
        let (cloudflare, key) = (Arc::clone(&first.cloudflare), Arc::clone(&first.key));
        let second = Registrar::spawn(&place, cloudflare, key, agent()).unwrap();
        let ticket = first.ticket("ada");
        let replies: Vec<_> = std::thread::scope(|scope| {
            let both = [&first, &second, &first, &second];
            let asking = both.map(|registrar| scope.spawn(|| registrar.register(&ticket, &BoxKey::new(1)).expect(200)));
            asking.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(replies.iter().all(|reply| *reply == replies[0]));
        assert_eq!(first.cloudflare.counts(), (1, 1));
        assert_eq!(second.devices("ada").len(), 1);
        let path = format!("/devices/{}", replies[0]["device_id"].as_str().unwrap());
        second.as_person("ada", "DELETE", &path, None).expect(204);
        assert_eq!(first.devices("ada").len(), 0);
    }

    #[test]
    fn two_registrars_may_be_started_at_once_on_a_new_database() {
        let place = Where::postgres();
        let first = Registrar::start(&place);
        run(place.postgres.as_ref().unwrap(), "DROP SCHEMA public CASCADE; CREATE SCHEMA public");
        drop(first.crash_and_restart(&place));
        run(place.postgres.as_ref().unwrap(), "DROP SCHEMA public CASCADE; CREATE SCHEMA public");
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let (cloudflare, key) =
                        (crate::harness::Cloudflare::start(), crate::persons::Key::ed25519("first", 1));
                    let spawned = Registrar::spawn(&place, Arc::new(cloudflare), Arc::new(key), agent());
                    spawned.map(|registrar| registrar.ticket("ada")).unwrap();
                });
            }
        });
    }

    #[test]
    fn a_database_that_was_restarted_is_found_again() {
        let place = Where::postgres();
        let registrar = Registrar::start(&place);
        let ticket = registrar.ticket("ada");
        let database = place.postgres.as_ref().unwrap();
        run(
            database,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE datname = current_database() AND application_name = 'coffer-registrar'",
        );
        registrar.register(&ticket, &BoxKey::new(1)).expect(200);
        registrar.call("GET", "/health", None, None).expect(200);
    }
}
