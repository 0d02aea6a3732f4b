//! QR codes in pictures.

use std::path::PathBuf;

use coffer_client::{
    label::{Label, LabelError},
    qr::LookError,
};
use image::{GrayImage, Luma, imageops};
use qrcodegen::{QrCode, QrCodeEcc};
use tempfile::TempDir;

use crate::fake_box::{CODE, DEVICE_ID};

/// A QR code of this text, with `scale` pixels for each module.
pub(crate) fn qr(text: &str, scale: u32) -> GrayImage {
    let code = QrCode::encode_text(text, QrCodeEcc::Medium).unwrap();
    let modules = u32::try_from(code.size()).unwrap() + 8;
    GrayImage::from_fn(modules * scale, modules * scale, |x, y| {
        let at = |pixel: u32| i32::try_from(pixel / scale).unwrap() - 4;
        Luma([if code.get_module(at(x), at(y)) { 20 } else { 235 }])
    })
}

/// A large photo, with the label somewhere on it.
fn photo(label: &GrayImage) -> GrayImage {
    let mut photo = GrayImage::from_fn(3000, 2000, |x, y| Luma([120 + u8::try_from((x * 7 + y * 13) % 40).unwrap()]));
    imageops::overlay(&mut photo, label, 1700, 900);
    photo
}

fn saved(picture: &GrayImage, name: &str) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(name);
    picture.save(&path).unwrap();
    (directory, path)
}

#[test]
fn a_label_reads_back_from_pictures() {
    let text = format!("coffer:1?d={DEVICE_ID}&c={CODE}");
    for (picture, name) in
        [(qr(&text, 4), "label.png"), (photo(&qr(&text, 9)), "photo.jpg"), (photo(&qr(&text, 9)), "noname")]
    {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(name);
        picture
            .save_with_format(
                &path,
                if name == "label.png" { image::ImageFormat::Png } else { image::ImageFormat::Jpeg },
            )
            .unwrap();
        let label = Label::read(&path).unwrap();
        assert_eq!((label.device_id, label.code.to_text().as_str()), (Some(DEVICE_ID), CODE));
    }
}

#[test]
fn pictures_without_a_label() {
    let (_directory, path) = saved(&qr("https://example.com", 4), "other.png");
    assert!(matches!(Label::read(&path), Err(LabelError::NotALabel)));
    let (_directory, path) = saved(&GrayImage::new(64, 64), "black.png");
    assert!(matches!(Label::read(&path), Err(LabelError::Look(LookError::NoCode))));
    std::fs::write(&path, "not a picture").unwrap();
    assert!(matches!(Label::read(&path), Err(LabelError::Look(LookError::Picture(_)))));
    assert!(matches!(Label::read(&path.with_file_name("none.png")), Err(LabelError::Look(LookError::Read(_)))));
}

#[test]
fn texts_of_labels() {
    for (text, is_one) in [
        (format!("coffer:1?d={DEVICE_ID}&c={CODE}"), true),
        (format!("coffer:1?c={CODE}&later=1\n"), true),
        (format!("coffer:2?c={CODE}"), false),
        (format!("coffer:1?d=1234&c={CODE}"), false),
        ("coffer:1?c=0000-0000-1011".to_owned(), false),
        (format!("coffer:1?d={DEVICE_ID}"), false),
        (CODE.to_owned(), false),
    ] {
        assert_eq!(Label::parse(&text).is_some(), is_one, "{text}");
    }
}
