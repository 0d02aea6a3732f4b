//! Turning pictures: without loss, as the next revision, and not those that move.

use std::io::Cursor;

use image::codecs::gif::GifEncoder;
use image::metadata::Orientation;
use image::{DynamicImage, Frame, ImageDecoder, ImageFormat, ImageReader, Rgb, RgbImage, Rgba, RgbaImage};
use serde_json::json;

use crate::client::Reply;
use crate::harness::Daemon;

/// No two pixels are alike.
fn picture() -> DynamicImage {
    DynamicImage::ImageRgb8(RgbImage::from_fn(16, 8, |x, y| {
        Rgb([u8::try_from(x * 16).unwrap(), u8::try_from(y * 32).unwrap(), 99])
    }))
}

fn encoded(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Vec::new();
    picture.write_to(&mut Cursor::new(&mut bytes), format).unwrap();
    bytes
}

/// As a program that obeys EXIF shows it.
fn shown(bytes: &[u8]) -> DynamicImage {
    let mut decoder = ImageReader::new(Cursor::new(bytes)).with_guessed_format().unwrap().into_decoder().unwrap();
    let orientation = decoder.orientation().unwrap();
    let mut picture = DynamicImage::from_decoder(decoder).unwrap();
    picture.apply_orientation(orientation);
    picture
}

fn upload(daemon: &Daemon, name: &str, content: &[u8]) -> String {
    daemon.upload(name, content).expect(201)["id"].as_str().unwrap().to_owned()
}

fn turn(daemon: &Daemon, id: &str, wish: &serde_json::Value) -> Reply {
    daemon.post(&format!("/files/{id}/image"), wish)
}

#[test]
fn a_picture_is_turned_without_loss_as_the_next_revision() {
    let daemon = Daemon::unlocked();
    let clear = DynamicImage::ImageRgba8(RgbaImage::from_fn(9, 5, |x, y| {
        Rgba([u8::try_from(x * 20).unwrap(), 7, u8::try_from(y * 40).unwrap(), u8::try_from(255 - x * 20).unwrap()])
    }));
    for (name, original) in [
        ("a.jpg", encoded(&picture(), ImageFormat::Jpeg)),
        ("a.png", encoded(&picture(), ImageFormat::Png)),
        ("clear.png", encoded(&clear, ImageFormat::Png)),
        ("a.bmp", encoded(&picture(), ImageFormat::Bmp)),
        ("a.tiff", encoded(&picture(), ImageFormat::Tiff)),
        ("a.webp", encoded(&picture(), ImageFormat::WebP)),
        ("clear.webp", encoded(&clear, ImageFormat::WebP)),
        ("a.gif", encoded(&picture(), ImageFormat::Gif)),
    ] {
        let id = upload(&daemon, name, &original);
        let mut expected = shown(&original);
        for (revision, wish, orientation) in [
            (2, json!({ "rotate": 90 }), Orientation::Rotate90),
            (3, json!({ "flip": "horizontal" }), Orientation::FlipHorizontal),
            (4, json!({ "rotate": 270 }), Orientation::Rotate270),
            (5, json!({ "flip": "vertical" }), Orientation::FlipVertical),
            (6, json!({ "rotate": 180 }), Orientation::Rotate180),
        ] {
            let file = turn(&daemon, &id, &wish).expect(200);
            assert_eq!((&file["revision"], &file["id"]), (&json!(revision), &json!(id)), "{name}");
            expected.apply_orientation(orientation);
            let content = daemon.get(&format!("/files/{id}/content")).body;
            assert_eq!(shown(&content).to_rgba8(), expected.to_rgba8(), "{name} {wish}");
            assert_eq!(image::guess_format(&content).unwrap(), image::guess_format(&original).unwrap());
        }
        assert_eq!(daemon.get(&format!("/files/{id}/revisions/1/content")).body, original);
    }
}

/// Two pictures, one after the other.
fn moving_gif() -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = GifEncoder::new(&mut bytes);
    for red in [0, 200] {
        encoder.encode_frame(Frame::new(RgbaImage::from_pixel(4, 4, Rgba([red, 0, 0, 255])))).unwrap();
    }
    drop(encoder);
    bytes
}

/// A PNG whose header says that it moves.
fn moving_png() -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, 2, 2);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_animated(2, 0).unwrap();
    let mut writer = encoder.write_header().unwrap();
    for _ in 0..2 {
        writer.write_image_data(&[0, 1, 2, 3]).unwrap();
    }
    writer.finish().unwrap();
    bytes
}

/// The header of a WebP that moves, and its first picture.
fn moving_webp() -> Vec<u8> {
    let still = encoded(&picture(), ImageFormat::WebP);
    let frame = &still[12..];
    let mut chunks = b"VP8X\x0a\0\0\0\x02\0\0\0\x0f\0\0\x07\0\0ANIM\x06\0\0\0\0\0\0\0\0\0".to_vec();
    for _ in 0..2 {
        chunks.extend(b"ANMF");
        chunks.extend(u32::try_from(16 + frame.len()).unwrap().to_le_bytes());
        chunks.extend(b"\0\0\0\0\0\0\x0f\0\0\x07\0\0\x64\0\0\0");
        chunks.extend(frame);
    }
    let mut bytes = b"RIFF".to_vec();
    bytes.extend(u32::try_from(4 + chunks.len()).unwrap().to_le_bytes());
    bytes.extend(b"WEBP");
    bytes.extend(chunks);
    bytes
}

#[test]
fn what_would_lose_something_is_refused() {
    let daemon = Daemon::unlocked();
    let jpeg = encoded(&picture(), ImageFormat::Jpeg);
    for (name, content, says) in [
        ("moving.gif", moving_gif(), "moves"),
        ("moving.png", moving_png(), "moves"),
        ("moving.webp", moving_webp(), "moves"),
        ("cut.jpg", jpeg[..30].to_vec(), "damaged"),
        ("cut.png", encoded(&picture(), ImageFormat::Png)[..60].to_vec(), "damaged"),
        ("a.txt", b"words".to_vec(), "no others"),
        ("empty.jpg", Vec::new(), "no others"),
    ] {
        let id = upload(&daemon, name, &content);
        let problem = turn(&daemon, &id, &json!({ "rotate": 90 })).expect_problem(422, "picture_not_turned");
        assert!(problem["detail"].as_str().unwrap().contains(says), "{name}: {problem}");
        assert_eq!(daemon.get(&format!("/files/{id}")).expect(200)["revision"], 1, "{name}");
    }
    let id = upload(&daemon, "a.jpg", &jpeg);
    for wish in
        [json!({}), json!({ "rotate": 45 }), json!({ "rotate": 0 }), json!({ "rotate": 90, "flip": "vertical" })]
    {
        turn(&daemon, &id, &wish).expect_problem(422, "invalid_field");
    }
}

#[test]
fn who_turns_a_picture_must_be_allowed_to_and_have_seen_it() {
    let daemon = Daemon::unlocked();
    let id = upload(&daemon, "a.png", &encoded(&picture(), ImageFormat::Png));
    let path = format!("/files/{id}/image");
    let wish = json!({ "rotate": 90 });
    let etag = daemon.get(&format!("/files/{id}/content")).header("etag").to_owned();
    let turned_if = |etag: &str| {
        let headers = [("content-type", "application/json"), ("if-match", etag)];
        daemon.request("POST", &path, &headers, wish.to_string().as_bytes())
    };
    turned_if("\"0\"").expect_problem(412, "precondition_failed");
    turned_if(&etag).expect(200);
    // It is another content now.
    turned_if(&etag).expect_problem(412, "precondition_failed");
    let [reader, writer] = ["reader", "writer"].map(|role| daemon.user(&format!("the_{role}"), role));
    for person in [&reader, &writer] {
        daemon.send_as(&person.token, "POST", &path, &wish).expect_problem(403, "forbidden");
    }
    daemon.anonymous("POST", &path, &wish).expect_problem(401, "unauthenticated");
    turn(&daemon, &uuid::Uuid::nil().to_string(), &wish).expect_problem(404, "not_found");
    daemon.delete(&format!("/files/{id}")).expect(204);
    turn(&daemon, &id, &wish).expect_problem(404, "not_found");
}
