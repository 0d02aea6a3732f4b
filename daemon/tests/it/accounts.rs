//! Accounts: registration, invitations, what administrators do, one's own profile and password.

use std::io::{Read, Write};
use std::time::Duration;

use serde_json::{Value, json};

use crate::client::{read_reply, send_head, tcp};
use crate::harness::{ADMIN, ADMIN_PASSWORD, Daemon, MASTER_PASSWORD, PASSWORD, content};

const OTHER_PASSWORD: &str = "quiet marble lantern";

#[test]
fn who_registers_is_an_inactive_reader_until_an_administrator_activates_them() {
    let daemon = Daemon::unlocked();
    let body = json!({ "username": "Grace_H", "display_name": " Grace ", "password": PASSWORD });
    let user = daemon.anonymous("POST", "/registrations", &body).expect(201);
    assert_eq!((&user["username"], &user["display_name"]), (&json!("grace_h"), &json!("Grace")));
    assert_eq!((&user["role"], &user["active"]), (&json!("reader"), &json!(false)));
    daemon.anonymous("POST", "/registrations", &body).expect_problem(409, "name_taken");
    let log_in = json!({ "username": "grace_h", "password": PASSWORD });
    daemon.anonymous("POST", "/sessions", &log_in).expect_problem(401, "wrong_credentials");
    let path = format!("/users/{}", user["id"].as_str().unwrap());
    let changed = daemon.send("PATCH", &path, &json!({ "active": true })).expect(200);
    assert_eq!((&changed["active"], &changed["role"]), (&json!(true), &json!("reader")));
    daemon.anonymous("POST", "/sessions", &log_in).expect(201);
}

#[test]
fn closed_registration_leaves_invitations_and_the_master_password() {
    let daemon = Daemon::unlocked();
    let rules = json!({ "registration_open": false, "second_factor_required": false });
    daemon.send("PUT", "/policy", &rules).expect(200);
    assert_eq!(daemon.get("/policy").expect(200), rules);
    let register = |extra: Value| {
        let mut body = json!({ "username": "grace", "password": PASSWORD });
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        daemon.anonymous("POST", "/registrations", &body)
    };
    register(json!({})).expect_problem(403, "registration_closed");
    register(json!({ "invitation": "nonsense" })).expect_problem(403, "wrong_invitation");
    register(json!({ "master_password": "not the master password" })).expect_problem(403, "wrong_master_secret");
    daemon.advance(Duration::from_secs(10));
    register(json!({ "invitation": "x", "master_password": "y" })).expect_problem(422, "invalid_field");
    let user = register(json!({ "master_password": MASTER_PASSWORD })).expect(201);
    assert_eq!((&user["role"], &user["active"]), (&json!("admin"), &json!(true)));
}

#[test]
fn an_invitation_makes_one_account_in_its_role_and_ends() {
    let daemon = Daemon::unlocked();
    let invite =
        |seconds: u64| daemon.post("/invitations", &json!({ "role": "editor", "expires_in_s": seconds })).expect(201);
    for bad in [0, 59, 30 * 24 * 3600 + 1, u64::MAX] {
        let body = json!({ "role": "editor", "expires_in_s": bad });
        daemon.post("/invitations", &body).expect_problem(422, "invalid_field");
    }
    let use_it = |invitation: &Value, name: &str| {
        let body = json!({ "username": name, "password": PASSWORD, "invitation": invitation["token"] });
        daemon.anonymous("POST", "/registrations", &body)
    };
    let (first, second, late) = (invite(3600), invite(3600), invite(60));
    assert!(first["link"].as_str().unwrap().ends_with(first["token"].as_str().unwrap()));
    use_it(&first, ADMIN).expect_problem(409, "name_taken");
    let user = use_it(&first, "grace").expect(201);
    assert_eq!((&user["role"], &user["active"]), (&json!("editor"), &json!(true)));
    use_it(&first, "hedy").expect_problem(403, "wrong_invitation");
    let path = format!("/invitations/{}", second["id"].as_str().unwrap());
    daemon.delete(&path).expect(204);
    daemon.delete(&path).expect_problem(404, "not_found");
    use_it(&second, "hedy").expect_problem(403, "wrong_invitation");
    daemon.advance(Duration::from_secs(61));
    use_it(&late, "hedy").expect_problem(403, "wrong_invitation");
    let open = daemon.get("/invitations").expect(200);
    assert_eq!(open["items"].as_array().unwrap().len(), 1);
    assert!(!open.to_string().contains(late["token"].as_str().unwrap()), "a token is shown once");
}

#[test]
fn an_invitation_used_twice_at_the_same_time_makes_one_account() {
    let daemon = Daemon::unlocked();
    let invitation = daemon.post("/invitations", &json!({ "role": "writer" })).expect(201);
    let register = |name: &str| {
        let body = json!({ "username": name, "password": PASSWORD, "invitation": invitation["token"] });
        daemon.anonymous("POST", "/registrations", &body).status
    };
    let mut statuses = std::thread::scope(|scope| {
        let racers = ["grace", "hedy", "joan"].map(|name| scope.spawn(move || register(name)));
        racers.map(|racer| racer.join().unwrap())
    });
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 403, 403]);
}

#[test]
fn strangers_who_register_are_slowed_down_by_source() {
    let daemon = Daemon::unlocked();
    let register = |n: u32, from: &str| {
        let body = json!({ "username": format!("user_{n}"), "password": PASSWORD }).to_string();
        let headers = [("content-type", "application/json"), ("cf-connecting-ip", from)];
        daemon.request_as("", "POST", "/registrations", &headers, body.as_bytes())
    };
    for n in 0..6 {
        register(n, "192.0.2.1").expect(201);
    }
    register(6, "192.0.2.1").expect_problem(429, "too_many_attempts");
    register(7, "192.0.2.2").expect(201);
}

#[test]
fn weak_passwords_and_bad_names_are_refused_and_not_repeated() {
    let daemon = Daemon::unlocked();
    for (field, name, display, password) in [
        ("username", "abc", "A", PASSWORD),
        ("username", "grace hopper", "A", PASSWORD),
        ("username", &"a".repeat(41), "A", PASSWORD),
        ("display_name", "grace", "  ", PASSWORD),
        ("display_name", "grace", "a\u{1}b", PASSWORD),
        ("password", "grace", "A", "too short"),
        ("password", "grace", "A", "aaaaaaaaaaaaaaaa"),
        ("password", "gracehopper1", "A", "gracehopper1"),
        ("password", "grace", "A", &"x".repeat(1025)),
    ] {
        let body = json!({ "username": name, "display_name": display, "password": password });
        for path in ["/registrations", "/users"] {
            let problem = daemon.post(path, &body).expect_problem(422, "invalid_field");
            assert_eq!(problem["errors"][0]["field"], field, "{problem}");
            assert!(password == PASSWORD || !problem.to_string().contains(password), "{problem}");
        }
    }
}

#[test]
fn the_last_active_administrator_can_be_neither_demoted_nor_deactivated_nor_deleted() {
    let daemon = Daemon::unlocked();
    let me = daemon.get("/users/me").expect(200)["id"].as_str().unwrap().to_owned();
    let own = format!("/users/{me}");
    daemon.send("PATCH", &own, &json!({ "role": "editor" })).expect_problem(409, "last_admin");
    daemon.send("PATCH", &own, &json!({ "active": false })).expect_problem(409, "last_admin");
    daemon.delete(&own).expect_problem(409, "own_account");
    // An inactive administrator is none.
    let idle = json!({ "username": "idle", "password": PASSWORD, "role": "admin", "active": false });
    daemon.post("/users", &idle).expect(201);
    daemon.send("PATCH", &own, &json!({ "role": "editor" })).expect_problem(409, "last_admin");
    let second = daemon.user("second", "admin");
    let path = format!("/users/{}", second.id);
    // Two that demote each other at the same time: one stays.
    let demote = json!({ "role": "reader" });
    let statuses = std::thread::scope(|scope| {
        let one = scope.spawn(|| daemon.send("PATCH", &path, &demote).status);
        let other = scope.spawn(|| daemon.send_as(&second.token, "PATCH", &own, &demote).status);
        [one.join().unwrap(), other.join().unwrap()]
    });
    assert!(statuses.contains(&200) && statuses != [200, 200], "{statuses:?}");
}

#[test]
fn a_deleted_account_ends_at_once_and_its_files_stay() {
    let daemon = Daemon::unlocked();
    let grace = daemon.user("grace", "writer");
    let stored = daemon.request_as(&grace.token, "POST", "/files?name=kept.txt", &[], b"kept").expect(201);
    let path = format!("/users/{}", grace.id);
    daemon.delete(&path).expect(204);
    daemon.delete(&path).expect_problem(404, "not_found");
    daemon.get(&path).expect_problem(404, "not_found");
    daemon.get_as(&grace.token, "/users/me").expect_problem(401, "unauthenticated");
    daemon.refresh(&grace.refresh_token).expect_problem(401, "unauthenticated");
    let log_in = json!({ "username": "grace", "password": PASSWORD });
    daemon.anonymous("POST", "/sessions", &log_in).expect_problem(401, "wrong_credentials");
    let file = format!("/files/{}", stored["id"].as_str().unwrap());
    assert_eq!(daemon.get(&file).expect(200)["created_by"], grace.id.as_str());
    assert_eq!(daemon.get(&format!("{file}/content")).body, b"kept");
    assert!(!daemon.get("/users").expect(200).to_string().contains("deleted"));
    // The name is free again, and the new account is another one.
    let again = daemon.user("grace", "writer");
    assert_ne!(again.id, grace.id);
    daemon.get_as(&grace.token, "/users/me").expect_problem(401, "unauthenticated");
}

#[test]
fn an_upload_of_somebody_who_is_demoted_or_deleted_on_the_way_is_not_stored() {
    let daemon = Daemon::unlocked();
    for (name, status) in [("grace", 403), ("hedy", 401)] {
        let person = daemon.user(name, "writer");
        let token = format!("Bearer {}", person.token);
        let mut stream = tcp(daemon.address);
        let headers = [("authorization", token.as_str()), ("content-length", "2000000"), ("expect", "100-continue")];
        send_head(&mut stream, "POST", "/api/v1/files?name=f", &headers);
        // The body is asked for, so everything that can be refused before was looked at.
        let mut go_on = [0; 25];
        stream.read_exact(&mut go_on).unwrap();
        assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
        let path = format!("/users/{}", person.id);
        if status == 403 {
            daemon.send("PATCH", &path, &json!({ "role": "reader" })).expect(200);
        } else {
            daemon.delete(&path).expect(204);
        }
        stream.write_all(&content(2_000_000, 7)).unwrap();
        assert_eq!(read_reply(&mut stream).unwrap().status, status);
        assert_eq!(daemon.get("/files").expect(200)["items"], json!([]));
    }
}

#[test]
fn a_change_of_rights_ends_the_sessions() {
    let daemon = Daemon::unlocked();
    for change in [json!({ "role": "editor" }), json!({ "active": false })] {
        let name = format!("grace{}", change.as_object().unwrap().len() + change.to_string().len());
        let grace = daemon.user(&name, "writer");
        let path = format!("/users/{}", grace.id);
        daemon.send("PATCH", &path, &json!({ "display_name": "Grace" })).expect(200);
        daemon.send("PATCH", &path, &json!({ "role": "writer" })).expect(200);
        daemon.get_as(&grace.token, "/users/me").expect(200);
        daemon.send("PATCH", &path, &change).expect(200);
        daemon.get_as(&grace.token, "/users/me").expect_problem(401, "unauthenticated");
        daemon.refresh(&grace.refresh_token).expect_problem(401, "unauthenticated");
    }
    daemon.get("/users/me").expect(200);
}

#[test]
fn a_new_password_ends_the_other_sessions() {
    let daemon = Daemon::unlocked();
    let grace = daemon.user("grace", "writer");
    let other = daemon.log_in_as("grace", PASSWORD);
    let change = |current: &str, new: &str| {
        let body = json!({ "current_password": current, "new_password": new });
        daemon.send_as(&grace.token, "PUT", "/users/me/password", &body)
    };
    change("not the password", OTHER_PASSWORD).expect_problem(403, "wrong_password");
    change(PASSWORD, "too short").expect_problem(422, "invalid_field");
    daemon.get_as(&other.token, "/users/me").expect(200);
    change(PASSWORD, OTHER_PASSWORD).expect(204);
    daemon.get_as(&grace.token, "/users/me").expect(200);
    daemon.get_as(&other.token, "/users/me").expect_problem(401, "unauthenticated");
    let log_in = |password: &str| json!({ "username": "grace", "password": password });
    daemon.anonymous("POST", "/sessions", &log_in(PASSWORD)).expect_problem(401, "wrong_credentials");
    daemon.anonymous("POST", "/sessions", &log_in(OTHER_PASSWORD)).expect(201);
}

#[test]
fn guesses_at_the_own_password_are_slowed_down_without_ending_the_session() {
    let daemon = Daemon::unlocked();
    let guess = || {
        let body = json!({ "current_password": "not the password", "new_password": OTHER_PASSWORD });
        daemon.send("PUT", "/users/me/password", &body)
    };
    for _ in 0..4 {
        guess().expect_problem(403, "wrong_password");
    }
    guess().expect_problem(429, "too_many_attempts");
    daemon.get("/users/me").expect(200);
}

#[test]
fn a_reset_password_ends_sessions_and_keys() {
    let daemon = Daemon::unlocked();
    let grace = daemon.user("grace", "writer");
    let key = daemon.send_as(&grace.token, "POST", "/api-keys", &json!({ "name": "a", "role": "reader" })).expect(201);
    let key = key["key"].as_str().unwrap();
    daemon.get_as(key, "/users/me").expect(200);
    let body = json!({ "new_password": OTHER_PASSWORD });
    daemon.send("PUT", &format!("/users/{}/password", grace.id), &body).expect(204);
    for token in [key, &grace.token] {
        daemon.get_as(token, "/users/me").expect_problem(401, "unauthenticated");
    }
    daemon.log_in_as("grace", OTHER_PASSWORD);
    let me = daemon.get("/users/me").expect(200);
    let own = format!("/users/{}/password", me["id"].as_str().unwrap());
    daemon.send("PUT", &own, &body).expect_problem(409, "own_account");
    let unknown = "/users/01890000-0000-7000-8000-000000000000/password";
    daemon.send("PUT", unknown, &body).expect_problem(404, "not_found");
}

#[test]
fn the_list_of_people_is_filtered_ordered_and_paged() {
    let daemon = Daemon::unlocked();
    for (name, role) in [("mary", "reader"), ("grace", "writer"), ("hedy", "writer")] {
        let body = json!({ "username": name, "password": PASSWORD, "role": role });
        daemon.post("/users", &body).expect(201);
    }
    let names = |query: &str| {
        let page = daemon.get(&format!("/users?{query}")).expect(200);
        let names = page["items"].as_array().unwrap().iter().map(|user| user["username"].as_str().unwrap().to_owned());
        (names.collect::<Vec<_>>().join(" "), page["next_cursor"].as_str().map(ToOwned::to_owned))
    };
    assert_eq!(names("").0, "ada_ grace hedy mary");
    assert_eq!(names("order=desc").0, "mary hedy grace ada_");
    assert_eq!(names("order_by=created_at").0, "ada_ mary grace hedy");
    assert_eq!(names("order_by=last_login_at&order=desc&limit=1").0, "ada_");
    assert_eq!(names("role__eq=writer").0, "grace hedy");
    assert_eq!(names("name__contains=R").0, "grace mary");
    assert_eq!(names("active__eq=false").0, "");
    for order in ["order_by=username", "order_by=created_at&order=desc", "order_by=last_login_at"] {
        let (all, mut collected, mut cursor) = (names(order).0, Vec::new(), None::<String>);
        loop {
            let after = cursor.map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
            let (page, next) = names(&format!("{order}&limit=1{after}"));
            collected.push(page);
            match next {
                Some(next) => cursor = Some(next),
                None => break,
            }
        }
        assert_eq!(collected.join(" "), all, "{order}");
    }
    daemon.get("/users?cursor=nonsense").expect_problem(422, "invalid_field");
    daemon.get("/users?role__eq=root").expect_problem(400, "bad_request");
}

#[test]
fn one_sees_ones_own_account_and_administrators_see_all() {
    let daemon = Daemon::unlocked();
    let grace = daemon.user("grace", "editor");
    let (own, admin) = (format!("/users/{}", grace.id), daemon.get("/users/me").expect(200));
    assert_eq!(daemon.get_as(&grace.token, &own).expect(200)["username"], "grace");
    assert_eq!(daemon.get(&own).expect(200)["username"], "grace");
    let others = format!("/users/{}", admin["id"].as_str().unwrap());
    daemon.get_as(&grace.token, &others).expect_problem(403, "forbidden");
    daemon.get("/users/01890000-0000-7000-8000-000000000000").expect_problem(404, "not_found");
    let body = json!({ "display_name": "Grace H.", "about": "two\nlines" });
    let changed = daemon.send_as(&grace.token, "PATCH", "/users/me", &body).expect(200);
    assert_eq!((&changed["display_name"], &changed["about"]), (&json!("Grace H."), &json!("two\nlines")));
    for bad in [json!({ "about": "x".repeat(501) }), json!({ "role": "admin" })] {
        daemon.send_as(&grace.token, "PATCH", "/users/me", &bad).expect_problem(422, "invalid_field");
    }
    assert_eq!(daemon.get(&own).expect(200), changed);
}

#[test]
fn the_administrator_of_a_new_vault_logs_in_after_the_database_was_brought_up_to_date() {
    let mut daemon = Daemon::unlocked();
    daemon.log_in();
    let me = daemon.get("/users/me").expect(200);
    assert_eq!((&me["username"], &me["role"]), (&json!(ADMIN), &json!("admin")));
    assert!(me["last_login_at"].is_string());
    let wrong = json!({ "username": ADMIN, "password": format!("{ADMIN_PASSWORD}x") });
    daemon.anonymous("POST", "/sessions", &wrong).expect_problem(401, "wrong_credentials");
}
