//! What lies on the drive and belongs to nothing: garbage goes, and what may be all that is left of a file does not.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::audit::rows;
use crate::harness::Daemon;
use crate::sealing::{change_inside, count, id, job, sealing};

/// Waits until all that the audit finds lies in quarantine: the sweep after the unlock was there.
fn audited(daemon: &Daemon) -> Value {
    let start = Instant::now();
    loop {
        let audit = job(daemon, &json!({ "kind": "audit" }));
        let findings = audit["findings"].as_array().unwrap();
        if findings.iter().all(|finding| finding["subject"].as_str().unwrap().starts_with("quarantine ")) {
            return audit;
        }
        assert!(start.elapsed() < Duration::from_mins(1), "{audit}");
    }
}

#[test]
fn garbage_goes_and_what_may_be_somebodys_file_is_kept_in_quarantine() {
    let mut daemon = sealing("server");
    let kept = id(&daemon.upload("kept", b"a sealed content").expect(201));
    let gone = id(&daemon.upload("gone", b"a deleted content").expect(201));
    daemon.delete(&format!("/files/{gone}")).expect(204);
    daemon.delete(&format!("/trash/{gone}")).expect(204);
    // As if the database were an older one: a sealed content and a plain one without a row. And garbage: what an upload left
    // that never got a row, what was deleted, what a new header left.
    let script = format!(
        "
names = [f'{{number:02x}}' * 16 for number in range(1, 6)]
sealed, plain, new, doomed, header = names
for name, data in ((sealed, read('{kept}')), (plain, b'plain'), (new, b'new'), (doomed, b'doomed')):
    open(place(name), 'wb').write(data)
open(place(header) + '.new', 'wb').write(b'header')
os.chmod(place(new), 0o1600)
db.execute('INSERT INTO doomed_blobs VALUES (?)', [doomed])
"
    );
    change_inside(&mut daemon, &script);
    for round in 0..2 {
        let audit = audited(&daemon);
        assert_eq!((count(&audit, "ambiguous"), count(&audit, "orphan")), (1, 1), "{audit}");
        assert_eq!((count(&audit, "sealed_v2"), &audit["done"], &audit["total"]), (1, &json!(3), &json!(3)), "{audit}");
        assert_eq!(
            audit["findings"],
            json!([
                { "subject": format!("quarantine {}", "01".repeat(16)), "finding": "it looks sealed, and opens under no key here" },
                { "subject": format!("quarantine {}", "02".repeat(16)), "finding": "it belongs to nothing" },
            ])
        );
        assert_eq!(rows(&daemon, "action=content.quarantined").len(), 2, "told once, in round {round}");
        let lying = change_inside(
            &mut daemon,
            "
found = sorted(name for _, _, names in os.walk(view + '/blobs') for name in names)
print(found == sorted(row[0] for row in db.execute('SELECT blob_id FROM contents')))
print(sorted(os.listdir(view + '/quarantine')), open(view + '/quarantine/' + '02' * 16).read())
print(db.execute('SELECT count(*) FROM doomed_blobs').fetchone()[0])
",
        );
        let expected = format!("True\n['{}', '{}'] plain\n0\n", "01".repeat(16), "02".repeat(16));
        assert_eq!(lying, expected);
    }
    assert_eq!(daemon.get(&format!("/files/{kept}/content")).body, b"a sealed content");
    let begun = daemon.post("/storage/scrub", &json!({})).expect(202);
    let start = Instant::now();
    let scrub = loop {
        let scrub = daemon.get("/storage/scrub").expect(200);
        if scrub["id"] == begun["id"] && !scrub["finished_at"].is_null() {
            break scrub;
        }
        assert!(start.elapsed() < Duration::from_mins(1), "{scrub}");
        crate::harness::pause();
    };
    assert_eq!((&scrub["quarantined"], &scrub["orphans"], &scrub["faults"]), (&json!(2), &json!(0), &json!(0)));
}
