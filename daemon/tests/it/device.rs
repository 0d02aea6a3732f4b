//! The box itself: its codes, its name, its figures, what needs a person.

use std::fs;
use std::process::Command;

use coffer_crypto::code::SetupCode;
use coffer_crypto::srp::{Client, Credentials, Group, Server, Verifier};
use data_encoding::HEXLOWER;
use rand_core::UnwrapErr;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{COFFERD, Daemon, creation, run, setup_code};

fn setup(daemon: &Daemon) -> Value {
    daemon.get_locally("/device/setup").expect(200)
}

fn device(daemon: &Daemon) -> Value {
    serde_json::from_slice(&fs::read(daemon.path("device/device.json")).unwrap()).unwrap()
}

/// Whether a phone that knows this code gets in by what the daemon gives the set-up service.
fn opens(setup: &Value, typed: &str) -> bool {
    let bytes = |value: &Value| HEXLOWER.decode(value.as_str().unwrap().as_bytes()).unwrap();
    let (salt, verifier) = (bytes(&setup["code"]["salt"]), bytes(&setup["code"]["verifier"]));
    let identity: Uuid = setup["device_id"].as_str().unwrap().parse().unwrap();
    let code = SetupCode::parse(typed).unwrap().secret();
    let rng = &mut UnwrapErr(getrandom::SysRng);
    let verifier = Verifier::from_parts(Group::Bits4096, &salt, &verifier).unwrap();
    let (client, server) = (Client::start(Group::Bits4096, rng), Server::start(verifier, identity.as_bytes(), rng));
    let a = client.public().to_vec();
    let credentials = Credentials { identity: identity.as_bytes(), password: code.as_bytes() };
    let (m1, pending) = client.finish(server.public(), &salt, &credentials).unwrap();
    server.check(&a, &m1).is_ok_and(|(m2, _)| pending.verify(&m2).is_ok())
}

#[test]
fn a_phone_proves_the_setup_code_until_the_box_is_claimed() {
    let daemon = Daemon::unclaimed();
    let (found, code) = (setup(&daemon), setup_code(&daemon));
    assert_eq!((found["claimed"].clone(), found["code"]["kind"].clone()), (json!(false), json!("setup")));
    assert_eq!(found["device_id"], daemon.health()["device_id"]);
    assert!(opens(&found, &code) && !opens(&found, "0000-0000-1010"));
    assert!(!device(&daemon).to_string().contains(SetupCode::parse(&code).unwrap().secret().as_str()));

    daemon.send_locally("DELETE", "/device/setup/code", &json!({})).expect_problem(404, "not_found");
    assert!(opens(&setup(&daemon), &code), "the setup code goes with the claim only");

    daemon.send_locally("POST", "/vault", &creation(None)).expect(201);
    let found = setup(&daemon);
    assert_eq!((found["claimed"].clone(), found["code"].clone()), (json!(true), Value::Null));
    assert_eq!(device(&daemon)["code"], Value::Null, "nothing of it is kept");
    assert_eq!(setup(&daemon.crash_and_restart())["code"], Value::Null);
}

#[test]
fn nobody_but_the_boxs_own_programs_sees_the_verifier() {
    let daemon = Daemon::unlocked();
    for token in ["", &daemon.token] {
        daemon.get_as(token, "/device/setup").expect_problem(403, "forbidden");
        daemon.request_as(token, "DELETE", "/device/setup/code", &[], b"").expect_problem(403, "forbidden");
    }
}

#[test]
fn a_file_on_the_boot_partition_makes_a_recovery_code_that_works_once() {
    let daemon = Daemon::locked();
    assert_eq!(setup(&daemon)["code"], Value::Null);
    fs::write(daemon.path("NEW-SETUP-CODE"), "").unwrap();
    let daemon = daemon.stop_and_restart();
    assert!(!daemon.path("NEW-SETUP-CODE").exists());
    let (found, code) = (setup(&daemon), setup_code(&daemon));
    assert_eq!((found["claimed"].clone(), found["code"]["kind"].clone()), (json!(true), json!("recovery")));
    assert!(opens(&found, &code));
    assert_eq!(daemon.health()["vault"], "locked", "it is no way to the files");
    daemon.anonymous("POST", "/vault", &creation(Some(&code))).expect_problem(409, "vault_exists");
    assert!(opens(&setup(&daemon.crash_and_restart()), &code), "a restart does not change it");
}

#[test]
fn a_used_recovery_code_is_gone_for_good() {
    let daemon = Daemon::locked();
    fs::write(daemon.path("NEW-SETUP-CODE"), "").unwrap();
    let daemon = daemon.stop_and_restart();
    let use_it = |daemon: &Daemon| daemon.send_locally("DELETE", "/device/setup/code", &json!({}));
    use_it(&daemon).expect(204);
    use_it(&daemon).expect_problem(404, "not_found");
    assert_eq!(setup(&daemon)["code"], Value::Null);
    assert!(!daemon.path("SETUP-CODE.txt").exists());
    assert_eq!(setup(&daemon.crash_and_restart())["code"], Value::Null);
}

#[test]
fn a_new_code_that_the_power_interrupted_is_made_again() {
    let daemon = Daemon::locked();
    fs::write(daemon.path("NEW-SETUP-CODE"), "").unwrap();
    let mut daemon = daemon.stop_and_restart();
    // As a cut before the last step leaves it: the code is made, and still asked for.
    daemon.kill();
    let first = setup_code(&daemon);
    fs::write(daemon.path("NEW-SETUP-CODE"), "").unwrap();
    let daemon = daemon.restart_killed();
    assert!(!daemon.path("NEW-SETUP-CODE").exists());
    let code = setup_code(&daemon);
    assert!(opens(&setup(&daemon), &code) && !opens(&setup(&daemon), &first));
}

#[test]
fn a_box_that_nobody_owns_is_claimed_with_the_new_code() {
    let daemon = Daemon::unclaimed();
    let first = setup_code(&daemon);
    fs::write(daemon.path("NEW-SETUP-CODE"), "").unwrap();
    let daemon = daemon.stop_and_restart();
    let code = setup_code(&daemon);
    assert_eq!(setup(&daemon)["code"]["kind"], "setup");
    daemon.anonymous("POST", "/vault", &creation(Some(&first))).expect_problem(403, "wrong_setup_code");
    daemon.advance(std::time::Duration::from_secs(5));
    daemon.anonymous("POST", "/vault", &creation(Some(&code))).expect(201);
    assert_eq!(setup(&daemon)["code"], Value::Null);
}

/// As the units do it: the boot partition is out of the daemon's reach.
#[test]
fn first_boot_makes_codes_and_another_program_removes_the_used_ones() {
    let root = tempfile::tempdir().unwrap();
    let path = |name: &str| root.path().join(name).to_str().unwrap().to_owned();
    fs::create_dir(path("secrets")).unwrap();
    let cofferd = |arguments: &[&str]| {
        let (code, _, complaint) = run(Command::new(COFFERD).args(arguments));
        assert_eq!(code, Some(0), "{complaint}");
    };
    let (device, secrets, file) = (path("device"), path("secrets"), path("SETUP-CODE.txt"));
    let first_boot = || cofferd(&["first-boot", "--device", &device, "--setup-code-file", &file]);
    let tidy = || {
        cofferd(&["remove-used-code", "--device", &device, "--secrets", &secrets, "--setup-code-file", &file]);
        root.path().join("SETUP-CODE.txt").exists()
    };
    first_boot();
    assert!(tidy(), "nobody owns the box");
    fs::write(path("secrets/vault.keys"), "claimed").unwrap();
    assert!(!tidy());
    fs::write(path("NEW-SETUP-CODE"), "").unwrap();
    first_boot();
    assert!(!root.path().join("NEW-SETUP-CODE").exists());
    assert!(tidy(), "a recovery code stays until it is used");
    let mut identity: Value = serde_json::from_slice(&fs::read(path("device/device.json")).unwrap()).unwrap();
    identity["code"] = Value::Null;
    fs::write(path("device/device.json"), identity.to_string()).unwrap();
    assert!(!tidy());
    assert!(!tidy(), "the second time there is nothing to do");
}

#[test]
fn first_boot_does_not_change_the_identity_below_a_running_daemon() {
    let daemon = Daemon::unclaimed();
    fs::write(daemon.path("NEW-SETUP-CODE"), "").unwrap();
    let mut command = Command::new(COFFERD);
    command.arg("first-boot").arg("--device").arg(daemon.path("device"));
    let (code, _, _) = run(command.arg("--setup-code-file").arg(daemon.path("SETUP-CODE.txt")));
    assert_eq!(code, Some(75));
    assert!(daemon.path("NEW-SETUP-CODE").exists(), "it is asked for still");
}

#[test]
fn an_identity_of_the_first_version_is_taken_over() {
    let mut daemon = Daemon::unclaimed();
    let code = setup_code(&daemon);
    assert!(daemon.stop().success());
    let now = device(&daemon);
    let first = json!({
        "version": 1,
        "device_id": now["device_id"],
        "created_at": now["created_at"],
        "shared_secret": now["shared_secret"],
        "setup_code_hash": now["code"]["hash"],
    });
    fs::write(daemon.path("device/device.json"), first.to_string()).unwrap();
    let daemon = daemon.restart_killed();
    let upgraded = device(&daemon);
    assert_eq!(upgraded["version"], 2);
    assert_eq!(upgraded["shared_secret"], now["shared_secret"]);
    let found = setup(&daemon);
    assert_eq!((found["device_id"].clone(), found["code"].clone()), (now["device_id"].clone(), Value::Null));
    daemon.anonymous("POST", "/vault", &creation(Some(&code))).expect(201);
}

#[test]
fn an_identity_of_a_later_version_is_left_alone() {
    let mut daemon = Daemon::unclaimed();
    daemon.stop();
    let mut later = device(&daemon);
    later["version"] = json!(3);
    fs::write(daemon.path("device/device.json"), later.to_string()).unwrap();
    let mut command = Command::new(COFFERD);
    let (code, _, complaint) = run(command.args(["serve", "--listen", "127.0.0.1:0", "--state"]).arg(&daemon.state));
    assert_eq!(code, Some(78));
    assert!(complaint.contains("newer version"), "{complaint}");
    assert_eq!(device(&daemon), later);
}

#[test]
fn the_box_has_a_name() {
    let daemon = Daemon::unlocked();
    let reader = daemon.user("reader", "reader");
    let change = |body: &Value| daemon.send("PATCH", "/device", body);
    let seen = daemon.get_as(&reader.token, "/device").expect(200);
    assert_eq!(seen["name"], "coffer");
    daemon.send_as(&reader.token, "PATCH", "/device", &json!({ "name": "x" })).expect_problem(403, "forbidden");
    assert_eq!(change(&json!({ "name": "Attic" })).expect(200)["name"], "attic");
    assert_eq!(change(&json!({ "name": "-" })).expect_problem(422, "invalid_field")["errors"][0]["field"], "name");
    assert_eq!(daemon.get("/audit?action__eq=device.changed").expect(200)["items"].as_array().unwrap().len(), 1);
    let daemon = daemon.crash_and_restart();
    assert_eq!(daemon.get_locally("/device").expect(200)["name"], "attic");
    daemon.get_as("", "/device").expect_problem(423, "vault_locked");
}

#[test]
fn what_the_set_up_service_says_of_the_network_is_shown() {
    let daemon = Daemon::unlocked();
    let editor = daemon.user("editor", "editor");
    let reader = daemon.user("reader", "reader");
    let status = json!({
        "state": "connected", "ssid": "SG9tZQ", "ssid_text": "Home", "signal_percent": 82,
        "addresses": ["192.168.1.20/24"], "gateway": "192.168.1.1", "dns": ["192.168.1.1"],
        "connectivity": "limited", "wired": false,
    });
    assert_eq!(daemon.get("/device/network").expect(200), json!({ "reported_at": null, "status": null }));
    daemon.send("PUT", "/device/network", &status).expect_problem(403, "forbidden");
    daemon.send_locally("PUT", "/device/network", &status).expect(204);
    assert_eq!(daemon.get_as(&editor.token, "/device/network").expect(200)["status"], status);
    assert_eq!(daemon.get_as(&editor.token, "/device/stats").expect(200)["network"]["status"]["ssid_text"], "Home");
    daemon.get_as(&reader.token, "/device/network").expect_problem(403, "forbidden");
    let mut wrong = status.clone();
    wrong["signal_percent"] = json!(101);
    daemon.send_locally("PUT", "/device/network", &wrong).expect_problem(422, "invalid_field");
    assert_eq!(daemon.get("/device/network").expect(200)["status"], status);
}

#[test]
fn the_machine_has_figures() {
    let daemon = Daemon::locked();
    let stats = daemon.get_locally("/device/stats").expect(200);
    assert!(stats["uptime_s"].as_u64().unwrap() > 0);
    assert!(stats["cpu"]["cpus"].as_u64().unwrap() > 0);
    assert!(stats["memory_available_bytes"].as_u64() < stats["memory_total_bytes"].as_u64());
    let disks: Vec<&str> = stats["disks"].as_array().unwrap().iter().map(|d| d["name"].as_str().unwrap()).collect();
    assert_eq!(disks, ["system", "vault"]);
    assert_eq!(stats["clock"]["plausible"], true);
    daemon.get_as("", "/device/stats").expect_problem(423, "vault_locked");
}

#[test]
fn a_drive_tells_how_worn_it_is_and_is_a_problem_when_it_is() {
    let reports = tempfile::tempdir().unwrap();
    let daemon = Daemon::unclaimed_with(&["--drive-reports", reports.path().to_str().unwrap()]);
    let codes = || -> Vec<Value> {
        let problems = daemon.get_locally("/device/problems").expect(200)["problems"].as_array().unwrap().clone();
        problems.iter().map(|problem| json!([problem["code"], problem["severity"]])).collect()
    };
    let wear = || {
        let drives = daemon.get_locally("/device/stats").expect(200)["nvme"].as_array().unwrap().clone();
        drives.iter().find(|drive| drive["name"] == "nvme7").map_or(Value::Null, |drive| drive["wear"].clone())
    };
    assert_eq!((codes(), wear()), (vec![], Value::Null), "not asked yet");
    for (log, expected) in [
        (json!({ "critical_warning": 0, "percent_used": 89, "media_errors": 0 }), vec![]),
        (json!({ "critical_warning": 0, "percent_used": 90 }), vec![json!(["drive_worn", "warning"])]),
        (json!({ "critical_warning": 2, "percent_used": 0 }), vec![json!(["drive_temperature", "warning"])]),
        (
            json!({ "critical_warning": 0, "percent_used": 99, "media_errors": "1" }),
            vec![json!(["drive_errors", "warning"])],
        ),
        (
            json!({ "critical_warning": 9, "percent_used": 99, "media_errors": 1 }),
            vec![json!(["drive_failing", "critical"])],
        ),
        (json!("nonsense"), vec![]),
    ] {
        fs::write(reports.path().join("nvme7.json"), log.to_string()).unwrap();
        assert_eq!(codes(), expected, "{log}");
    }
    assert_eq!(wear(), Value::Null, "nonsense");
    let log = json!({ "critical_warning": 9, "percent_used": 99, "media_errors": 1, "avail_spare": 3,
        "data_units_written": "2", "temperature": 300 });
    fs::write(reports.path().join("nvme7.json"), log.to_string()).unwrap();
    let expected = json!({ "used_percent": 99, "spare_percent": 3, "critical_warnings": ["spare_low", "read_only"],
        "media_errors": 1, "written_bytes": 1_024_000 });
    assert_eq!(wear(), expected);
}

#[test]
fn a_missing_drive_and_a_missing_key_are_problems_with_a_way_out() {
    let daemon = Daemon::locked();
    assert_eq!(daemon.get_locally("/device/problems").expect(200)["problems"], json!([]));
    fs::rename(daemon.path("cipher"), daemon.path("elsewhere")).unwrap();
    let problems = daemon.get_locally("/device/problems").expect(200)["problems"].clone();
    assert_eq!(
        (problems[0]["code"].clone(), problems[0]["severity"].clone()),
        (json!("storage_missing"), json!("critical"))
    );
    assert!(!problems[0]["try"].as_str().unwrap().is_empty());
    let said = daemon.health()["problems"][0].as_str().unwrap().to_owned();
    assert!(said.starts_with(problems[0]["happened"].as_str().unwrap()), "{said}");
}
