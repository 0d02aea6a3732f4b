//! Small pictures of files: of which kinds, how they look, what becomes of those that cannot be made.

use std::fs;
use std::io::Cursor;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use image::metadata::Orientation;
use image::{DynamicImage, ImageFormat, Rgb, RgbImage, Rgba, RgbaImage};
use serde_json::{Value, json};

use crate::client::Reply;
use crate::harness::{Daemon, files_below, sha256};

/// Long enough for a busy machine.
const LIMIT: Duration = Duration::from_mins(1);

/// Left red, right blue, with a green stripe at the top.
fn picture(width: u32, height: u32) -> DynamicImage {
    DynamicImage::ImageRgb8(RgbImage::from_fn(width, height, |x, y| match (x < width / 2, y < height / 4) {
        (_, true) => Rgb([0, 200, 0]),
        (true, false) => Rgb([200, 0, 0]),
        (false, false) => Rgb([0, 0, 200]),
    }))
}

fn encoded(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Vec::new();
    picture.write_to(&mut Cursor::new(&mut bytes), format).unwrap();
    bytes
}

/// A JPEG that says by EXIF how it is to be turned.
fn jpeg_turned(orientation: u8, picture: &DynamicImage) -> Vec<u8> {
    let mut bytes = encoded(picture, ImageFormat::Jpeg);
    let mut segment = vec![0xff, 0xe1, 0, 34];
    segment.extend(b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0");
    segment.extend([orientation, 0, 0, 0, 0, 0, 0]);
    bytes.splice(2..2, segment);
    bytes
}

fn upload(daemon: &Daemon, name: &str, content: &[u8]) -> String {
    let reply = daemon.upload(name, content);
    assert!(matches!(reply.status, 200 | 201), "{name}: {}", reply.status);
    reply.json()["id"].as_str().unwrap().to_owned()
}

/// Waits until a file's small pictures are made, or are not.
fn settled(daemon: &Daemon, id: &str) -> Value {
    let start = Instant::now();
    loop {
        let thumbnail = daemon.get(&format!("/files/{id}")).expect(200)["thumbnail"].clone();
        if thumbnail["state"] != "pending" {
            return thumbnail;
        }
        assert!(start.elapsed() < LIMIT, "no small picture is made");
        crate::harness::pause();
    }
}

fn small(daemon: &Daemon, id: &str, size: u32) -> Reply {
    daemon.get(&format!("/files/{id}/thumbnail?size={size}"))
}

fn decoded(reply: &Reply) -> RgbImage {
    assert_eq!((reply.status, reply.header("content-type")), (200, "image/jpeg"));
    image::load_from_memory_with_format(&reply.body, ImageFormat::Jpeg).unwrap().to_rgb8()
}

/// The colour at a place that is given in tenths.
fn colour(picture: &RgbImage, x: u32, y: u32) -> &'static str {
    let Rgb(colours) = *picture.get_pixel(picture.width() * x / 10, picture.height() * y / 10);
    match colours.map(|colour| colour > 128) {
        [true, true, true] => "white",
        [true, false, false] => "red",
        [false, true, false] => "green",
        [false, false, true] => "blue",
        _ => "other",
    }
}

fn ready() -> Value {
    json!({ "state": "ready", "reason": null })
}

#[test]
fn each_raster_format_has_small_pictures_without_metadata() {
    let daemon = Daemon::unlocked();
    let original = picture(2400, 1000);
    for (format, ending) in [
        (ImageFormat::Jpeg, "jpg"),
        (ImageFormat::Png, "png"),
        (ImageFormat::Gif, "gif"),
        (ImageFormat::WebP, "webp"),
        (ImageFormat::Bmp, "bmp"),
        (ImageFormat::Tiff, "tiff"),
    ] {
        let id = upload(&daemon, &format!("a.{ending}"), &encoded(&original, format));
        assert_eq!(settled(&daemon, &id), ready(), "{ending}");
        for (size, expected) in [(300, (300, 125)), (1200, (1200, 500))] {
            let reply = small(&daemon, &id, size);
            let found = decoded(&reply);
            assert_eq!((found.width(), found.height()), expected, "{ending}");
            assert_eq!((colour(&found, 2, 1), colour(&found, 2, 8), colour(&found, 8, 8)), ("green", "red", "blue"));
            assert_eq!(reply.header("etag"), format!("\"{}\"", sha256(&reply.body)));
            assert_eq!(reply.header("cache-control"), "private, no-cache");
            assert!(!reply.body.windows(4).any(|four| four == b"Exif"));
        }
    }
    // No larger than it is.
    let id = upload(&daemon, "small.png", &encoded(&picture(40, 20), ImageFormat::Png));
    assert_eq!(settled(&daemon, &id), ready());
    assert_eq!(decoded(&small(&daemon, &id, 1200)).dimensions(), (40, 20));
    // The list says so as well.
    let list = daemon.get("/files?limit=500").expect(200);
    assert!(list["items"].as_array().unwrap().iter().all(|file| file["thumbnail"] == ready()), "{list}");
}

#[test]
fn small_pictures_are_upright_and_on_white() {
    let daemon = Daemon::unlocked();
    for orientation in 1..=8 {
        let mut stored = picture(400, 200);
        // Stored in such a way that the orientation brings it back.
        let back = match orientation {
            6 => 8,
            8 => 6,
            same => same,
        };
        stored.apply_orientation(Orientation::from_exif(back).unwrap());
        let id = upload(&daemon, &format!("{orientation}.jpg"), &jpeg_turned(orientation, &stored));
        assert_eq!(settled(&daemon, &id), ready());
        let found = decoded(&small(&daemon, &id, 300));
        assert_eq!(found.dimensions(), (300, 150), "{orientation}");
        assert_eq!((colour(&found, 2, 1), colour(&found, 2, 8), colour(&found, 8, 8)), ("green", "red", "blue"));
    }
    let clear = DynamicImage::ImageRgba8(RgbaImage::from_fn(500, 500, |x, _| {
        if x < 250 { Rgba([0, 0, 0, 0]) } else { Rgba([200, 0, 0, 255]) }
    }));
    for (format, name) in [(ImageFormat::Png, "clear.png"), (ImageFormat::WebP, "clear.webp")] {
        let id = upload(&daemon, name, &encoded(&clear, format));
        assert_eq!(settled(&daemon, &id), ready());
        let found = decoded(&small(&daemon, &id, 300));
        assert_eq!((colour(&found, 2, 5), colour(&found, 8, 5)), ("white", "red"), "{name}");
    }
}

/// The header of a PNG of that size, and nothing that would be its pixels.
fn png_header(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = encoded(&picture(8, 8), ImageFormat::Png);
    bytes.splice(16..20, width.to_be_bytes());
    bytes.splice(20..24, height.to_be_bytes());
    let crc = crc32(&bytes[12..29]);
    bytes.splice(29..33, crc.to_be_bytes());
    bytes
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 })
    })
}

#[test]
fn a_picture_that_cannot_be_read_says_why_and_the_file_stays() {
    let daemon = Daemon::unlocked();
    let mut gif = encoded(&picture(8, 8), ImageFormat::Gif);
    gif.splice(6..10, [0xff; 4]);
    let jpeg = encoded(&picture(600, 400), ImageFormat::Jpeg);
    let damaged = "the picture is damaged";
    let large = "the picture is too large";
    for (name, content, state, reason) in [
        ("bomb.png", png_header(60_000, 60_000), "failed", large),
        ("wide.png", png_header(16_385, 1), "failed", large),
        ("many.png", png_header(16_000, 16_000), "failed", large),
        ("bomb.gif", gif, "failed", large),
        ("header.jpg", jpeg[..200].to_vec(), "failed", damaged),
        ("a.png", b"\x89PNG\r\n\x1a\n".to_vec(), "failed", damaged),
        (
            "a.svg",
            b"<svg xmlns='http://www.w3.org/2000/svg'/>".to_vec(),
            "unsupported",
            "nothing here draws image/svg+xml",
        ),
    ] {
        let id = upload(&daemon, name, &content);
        assert_eq!(settled(&daemon, &id), json!({ "state": state, "reason": reason }), "{name}");
        let code = if state == "failed" { "thumbnail_failed" } else { "thumbnail_unsupported" };
        let problem = small(&daemon, &id, 300).expect_problem(404, code);
        assert!(problem["detail"].as_str().unwrap().contains(reason), "{problem}");
        assert_eq!(daemon.get(&format!("/files/{id}/content")).body, content);
    }
    let id = upload(&daemon, "a.txt", b"a text");
    assert_eq!(settled(&daemon, &id), Value::Null);
    small(&daemon, &id, 300).expect_problem(404, "thumbnail_unsupported");
    let id = upload(&daemon, "empty.png", b"");
    assert_eq!(settled(&daemon, &id), Value::Null);
}

#[test]
fn who_may_not_see_the_file_gets_no_small_picture() {
    let daemon = Daemon::unlocked();
    let folder = daemon.post("/folders", &json!({ "name": "private" })).expect(201)["id"].as_str().unwrap().to_owned();
    let bytes = encoded(&picture(400, 200), ImageFormat::Png);
    let file = daemon.request("POST", &format!("/files?folder_id={folder}&name=a.png"), &[], &bytes).expect(201);
    let id = file["id"].as_str().unwrap();
    assert_eq!(file["thumbnail"], json!({ "state": "pending", "reason": null }));
    settled(&daemon, id);
    let reader = daemon.user("reader", "reader");
    let path = format!("/files/{id}/thumbnail");
    assert_eq!(daemon.get_as(&reader.token, &path).status, 200);
    daemon.send("PUT", &format!("/folders/{folder}/access"), &json!({ "private": true, "grants": [] })).expect(200);
    daemon.get_as(&reader.token, &path).expect_problem(404, "not_found");
    daemon.get_as("", &path).expect_problem(401, "unauthenticated");
    daemon.get(&format!("/files/{}/thumbnail", uuid::Uuid::nil())).expect_problem(404, "not_found");
    for size in ["0", "299", "4294967295"] {
        daemon.get(&format!("{path}?size={size}")).expect_problem(422, "invalid_field");
    }
    // The client that has it is told so; the one of the other size is another.
    let reply = daemon.get(&path);
    let etag = [("if-none-match", reply.header("etag"))];
    assert_eq!(daemon.request("GET", &path, &etag, b"").status, 304);
    assert_eq!(daemon.request("GET", &format!("{path}?size=1200"), &etag, b"").status, 200);
    daemon.delete(&format!("/files/{id}")).expect(204);
    daemon.get(&path).expect_problem(404, "not_found");
}

#[test]
fn a_new_revision_has_pictures_of_its_own_and_the_old_ones_go_with_the_content() {
    let daemon = Daemon::unlocked();
    // What lies in a directory of the directory of contents.
    let cipher = daemon.path("cipher");
    let deep = |path: &std::path::PathBuf| path.strip_prefix(&cipher).unwrap().components().count() == 3;
    let blobs = || files_below(&cipher).iter().filter(|path| deep(path)).count();
    let id = upload(&daemon, "a.png", &encoded(&picture(400, 200), ImageFormat::Png));
    assert_eq!(settled(&daemon, &id), ready());
    let before = small(&daemon, &id, 300);
    assert_eq!(upload(&daemon, "a.png", &encoded(&picture(200, 400), ImageFormat::Png)), id);
    assert_eq!(settled(&daemon, &id), ready());
    let after = small(&daemon, &id, 300);
    assert_ne!(before.header("etag"), after.header("etag"));
    assert_eq!(decoded(&after).dimensions(), (150, 300));
    // A copy shares them at once.
    let copy = daemon.post(&format!("/files/{id}/copy"), &json!({ "name": "b.png" })).expect(201);
    assert_eq!(copy["thumbnail"], ready());
    assert_eq!(blobs(), 6);
    daemon.delete(&format!("/files/{id}/revisions/1")).expect(204);
    assert_eq!(blobs(), 3);
    // The sweep after an unlock takes none of them for what an interrupted upload left.
    let mut daemon = daemon.stop_and_restart();
    daemon.unlock();
    daemon.log_in();
    assert_eq!(small(&daemon, &id, 300).header("etag"), after.header("etag"));
}

#[test]
fn nothing_is_lost_by_a_crash_or_a_lock_while_pictures_are_made() {
    let daemon = Daemon::unlocked();
    let large = encoded(&picture(5000, 5000), ImageFormat::Png);
    let ids: Vec<String> = (0..3).map(|n| upload(&daemon, &format!("{n}.png"), &large)).collect();
    let start = Instant::now();
    daemon.post("/vault/lock", &json!({})).expect(200);
    assert!(start.elapsed() < Duration::from_secs(5));
    let mut daemon = daemon.crash_and_restart();
    daemon.unlock();
    daemon.log_in();
    for id in &ids {
        assert_eq!(settled(&daemon, id), ready());
    }
    let log = daemon.log();
    assert!(!log.contains("files are taken away"), "{log}");
}

/// Whether a program that the test wants is installed. `scripts/setup test` does that.
fn made_by(program: &str, arguments: &[&str], output: &Path) -> Vec<u8> {
    let status = Command::new(program).args(arguments).arg(output).status();
    assert!(status.unwrap_or_else(|error| panic!("{program}: {error}")).success());
    fs::read(output).unwrap()
}

#[test]
fn films_and_documents_are_drawn_by_the_programs_that_are_installed() {
    let daemon = Daemon::unlocked();
    let scratch = tempfile::tempdir().unwrap();
    for (ending, size) in [("mp4", "640x480"), ("mkv", "200x100"), ("avif", "64x48")] {
        let source = format!("color=c=red:s={size}:d=0.2");
        let film = made_by(
            "ffmpeg",
            &["-v", "error", "-f", "lavfi", "-i", &source, "-frames:v", "1"],
            &scratch.path().join(format!("a.{ending}")),
        );
        let id = upload(&daemon, &format!("a.{ending}"), &film);
        assert_eq!(settled(&daemon, &id), ready(), "{ending}");
        assert_eq!(colour(&decoded(&small(&daemon, &id, 300)), 5, 5), "red");
    }
    let id = upload(&daemon, "a.pdf", &pdf("words"));
    assert_eq!(settled(&daemon, &id), ready());
    let page = decoded(&small(&daemon, &id, 1200));
    assert_eq!(page.dimensions(), (600, 1200));
    assert_eq!(colour(&page, 9, 9), "white");
    let id = upload(&daemon, "bad.pdf", b"%PDF-1.4\nnothing of the kind");
    assert_eq!(settled(&daemon, &id)["state"], "failed");
    let id = upload(&daemon, "bad.mp4", b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2avc1mp41\0\0\0\x08mdat");
    assert_eq!(settled(&daemon, &id)["state"], "failed");
}

fn pdf(text: &str) -> Vec<u8> {
    let stream = format!("BT /F1 24 Tf 20 200 Td ({text}) Tj ET");
    format!(
        "%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n\
         3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 400]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>endobj\n\
         4 0 obj<</Length {}>>stream\n{stream}\nendstream endobj\n\
         5 0 obj<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n",
        stream.len()
    )
    .into_bytes()
}

/// The box again, with no other programs than these.
fn with_programs(daemon: Daemon, programs: &[(&str, &str)]) -> Daemon {
    let bin = daemon.path("bin");
    fs::create_dir_all(&bin).unwrap();
    for (name, script) in programs {
        fs::write(bin.join(name), format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(bin.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    for needed in ["gocryptfs", "fusermount3"] {
        let found = ["/usr/bin", "/bin", "/usr/local/bin"].map(|place| Path::new(place).join(needed));
        let link = bin.join(needed);
        if !link.exists() {
            std::os::unix::fs::symlink(found.iter().find(|path| path.exists()).unwrap(), link).unwrap();
        }
    }
    let mut daemon = daemon.restart_with_path(&bin);
    daemon.unlock();
    daemon.log_in();
    daemon
}

#[test]
fn a_program_that_is_missing_is_named_and_tried_when_it_has_come() {
    let daemon = with_programs(Daemon::locked(), &[]);
    let pdf = upload(&daemon, "a.pdf", &pdf("words"));
    let film = upload(&daemon, "a.mp4", b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2avc1mp41");
    for (id, tool) in [(&pdf, "pdftoppm"), (&film, "ffmpeg")] {
        let expected = json!({ "state": "unsupported", "reason": format!("{tool} is not installed") });
        assert_eq!(settled(&daemon, id), expected);
        small(&daemon, id, 300).expect_problem(404, "thumbnail_unsupported");
    }
    let daemon = with_programs(daemon, &[("pdftoppm", "exec /usr/bin/pdftoppm \"$@\"")]);
    let start = Instant::now();
    while settled(&daemon, &pdf) != ready() {
        assert!(start.elapsed() < LIMIT);
        crate::harness::pause();
    }
    assert_eq!(settled(&daemon, &film)["state"], "unsupported");
}

#[test]
fn a_program_that_hangs_and_forks_is_gone_when_the_vault_is_locked() {
    // It holds the content in two processes, one of which left its group.
    let hang = "exec 3<&0; setsid /bin/sh -c 'exec /bin/sleep 600' <&3 & exec /bin/sleep 601";
    let mut daemon = with_programs(Daemon::locked(), &[("ffmpeg", hang)]);
    let id = upload(&daemon, "a.mp4", b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2avc1mp41");
    let start = Instant::now();
    while sleepers() < 2 {
        assert!(start.elapsed() < LIMIT, "the program was not started");
        crate::harness::pause();
    }
    small(&daemon, &id, 300).expect_problem(404, "thumbnail_pending");
    daemon.post("/vault/lock", &json!({})).expect(200);
    assert_eq!(sleepers(), 0);
    assert!(!daemon.log().contains("files are taken away"));
}

/// Processes of the program that hangs, whose standard input is one of the vault's contents.
fn sleepers() -> usize {
    let processes = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let inputs = processes.filter_map(|process| {
        let name = fs::read_to_string(process.path().join("comm")).ok()?;
        (name.trim() == "sleep").then(|| fs::read_link(process.path().join("fd/0")).ok())?
    });
    inputs.filter(|input| input.to_string_lossy().contains("/blobs/")).count()
}
