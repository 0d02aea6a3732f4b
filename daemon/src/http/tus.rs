//! The headers of resumable uploads: tus 1.0.0 (tus.io/protocols/resumable-upload), with creation, creation-with-upload,
//! termination, checksum, expiration and concatenation.

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use coffer_api::FieldProblem;
use data_encoding::BASE64;
use jiff::fmt::rfc2822::DateTimePrinter;
use uuid::Uuid;

use super::conditional::precondition;
use super::content::insert;
use super::problem::RequestProblem;
use crate::model::name::FileName;
use crate::model::upload::{Upload, UploadKind};
use crate::service::upload_checksum::{ALGORITHMS, Checksum};
use crate::service::uploads::{MAX_BYTES, NewUpload};

/// The version of the protocol.
const VERSION: HeaderValue = HeaderValue::from_static("1.0.0");
const EXTENSIONS: HeaderValue =
    HeaderValue::from_static("creation,creation-with-upload,termination,checksum,expiration,concatenation");

/// The type of bytes for an upload.
const BYTES_TYPE: &str = "application/offset+octet-stream";

/// Longest `Upload-Metadata` that is kept.
const MAX_METADATA_BYTES: usize = 4096;
/// Most parts of one upload.
const MAX_PARTS: usize = 1000;

const RESUMABLE: HeaderName = HeaderName::from_static("tus-resumable");
const TUS_VERSION: HeaderName = HeaderName::from_static("tus-version");
const TUS_EXTENSION: HeaderName = HeaderName::from_static("tus-extension");
const TUS_MAX_SIZE: HeaderName = HeaderName::from_static("tus-max-size");
const TUS_CHECKSUM_ALGORITHM: HeaderName = HeaderName::from_static("tus-checksum-algorithm");
const OFFSET: HeaderName = HeaderName::from_static("upload-offset");
const LENGTH: HeaderName = HeaderName::from_static("upload-length");
const METADATA: HeaderName = HeaderName::from_static("upload-metadata");
const CONCAT: HeaderName = HeaderName::from_static("upload-concat");
const CHECKSUM: HeaderName = HeaderName::from_static("upload-checksum");
const EXPIRES: HeaderName = HeaderName::from_static("upload-expires");
/// Ours: the file that an upload has become.
const FILE: HeaderName = HeaderName::from_static("coffer-file");

/// Around every route of uploads: the version goes with each reply, and what is spoken here with a refusal of another one.
/// A condition that does not hold is refused with the same status, and has nothing to do with that.
pub(super) async fn around(request: Request, next: Next) -> Response {
    let speaks_another = check_version(request.headers()).is_err();
    let mut response = next.run(request).await;
    let is_refused = response.status() == StatusCode::PRECONDITION_FAILED;
    let headers = response.headers_mut();
    headers.insert(RESUMABLE, VERSION);
    if is_refused && speaks_another {
        headers.insert(TUS_VERSION, VERSION);
    }
    response
}

/// What this server can.
pub(super) fn abilities() -> Response {
    let headers = [
        (TUS_VERSION, VERSION),
        (TUS_EXTENSION, EXTENSIONS),
        (TUS_MAX_SIZE, HeaderValue::from(MAX_BYTES)),
        (TUS_CHECKSUM_ALGORITHM, HeaderValue::from_static(ALGORITHMS)),
    ];
    (StatusCode::NO_CONTENT, headers).into_response()
}

/// How a client wants an upload to come about.
pub(super) enum Creation {
    /// From bytes that it is going to send.
    FromBytes(NewUpload),
    /// From these uploads, which it named like this.
    FromParts { ids: Vec<Uuid>, named: String, new: NewUpload },
}

/// Reads the headers that begin an upload.
pub(super) fn creation(headers: &HeaderMap) -> Result<Creation, RequestProblem> {
    check_version(headers)?;
    let metadata = text(headers, &METADATA)?.unwrap_or_default();
    if metadata.len() > MAX_METADATA_BYTES {
        return Err(unreadable(&METADATA, &format!("has at most {MAX_METADATA_BYTES} bytes")));
    }
    let concat = text(headers, &CONCAT)?;
    let mut new = NewUpload {
        is_partial: concat == Some("partial"),
        folder_id: None,
        name: None,
        metadata: metadata.to_owned(),
        length_bytes: 0,
        precondition: precondition(headers)?,
    };
    for (key, value) in pairs(metadata)? {
        match key {
            "filename" => new.name = Some(FileName::parse(&value).map_err(|error| field(key, &error.to_string()))?),
            "folder_id" if !value.is_empty() => {
                new.folder_id = Some(value.parse().map_err(|_| field(key, "this is not the id of a folder"))?);
            }
            // Clients say more than we ask for.
            _ => {}
        }
    }
    match concat.map(|concat| concat.split_once(';')) {
        None => {}
        Some(None) if new.is_partial => {}
        Some(Some(("final", parts))) => {
            let ids = parts.split_ascii_whitespace().map(upload_id).collect::<Option<Vec<Uuid>>>();
            let ids = ids.filter(|ids| (1..=MAX_PARTS).contains(&ids.len()));
            let ids = ids.ok_or_else(|| unreadable(&CONCAT, "names uploads by their addresses, 1000 at most"))?;
            return Ok(Creation::FromParts { ids, named: format!("final;{parts}"), new });
        }
        Some(_) => return Err(unreadable(&CONCAT, "is partial, or final; and the addresses of the parts")),
    }
    let length = number(headers, &LENGTH)?;
    new.length_bytes = length.ok_or_else(|| unreadable(&LENGTH, "is needed: how many bytes all of it has"))?;
    Ok(Creation::FromBytes(new))
}

/// Whether bytes come with the request that begins an upload.
pub(super) fn brings_bytes(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind == BYTES_TYPE)
}

/// Where bytes go. They have to be of the type that says that they are some.
pub(super) fn offset(headers: &HeaderMap) -> Result<u64, RequestProblem> {
    check_version(headers)?;
    if !brings_bytes(headers) {
        return Err(RequestProblem::NotBytes);
    }
    number(headers, &OFFSET)?.ok_or_else(|| unreadable(&OFFSET, "is needed: where the bytes begin"))
}

/// The sum that bytes have, if the client says one.
pub(super) fn checksum(headers: &HeaderMap) -> Result<Option<Checksum>, RequestProblem> {
    let Some(value) = text(headers, &CHECKSUM)? else { return Ok(None) };
    let sum = value.trim().split_once(' ').and_then(|(algorithm, sum)| {
        let expected = BASE64.decode(sum.trim().as_bytes()).ok()?;
        Checksum::new(algorithm, expected)
    });
    let what = format!("is an algorithm ({ALGORITHMS}) and a sum in Base64");
    sum.map(Some).ok_or_else(|| unreadable(&CHECKSUM, &what))
}

/// Refuses other versions of the protocol. Who names none means ours.
pub(super) fn check_version(headers: &HeaderMap) -> Result<(), RequestProblem> {
    if headers.get(&RESUMABLE).is_some_and(|version| version != VERSION) {
        return Err(RequestProblem::OtherTusVersion);
    }
    Ok(())
}

/// What a reply says about an upload.
pub(super) fn described(upload: &Upload) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(OFFSET, HeaderValue::from(upload.offset()));
    headers.insert(LENGTH, HeaderValue::from(upload.length_bytes));
    if let Ok(date) = DateTimePrinter::new().timestamp_to_rfc9110_string(&upload.expires_at) {
        insert(&mut headers, EXPIRES, &date);
    }
    if !upload.metadata.is_empty() {
        insert(&mut headers, METADATA, &upload.metadata);
    }
    match &upload.kind {
        UploadKind::Whole => {}
        UploadKind::Partial => insert(&mut headers, CONCAT, "partial"),
        UploadKind::Final(parts) => insert(&mut headers, CONCAT, parts),
    }
    if let Some(id) = upload.file_id {
        insert(&mut headers, FILE, &id.to_string());
    }
    headers
}

/// `key value, key value`, the values in Base64, which may be absent.
fn pairs(metadata: &str) -> Result<Vec<(&str, String)>, RequestProblem> {
    let decoded = metadata.split(',').map(str::trim).filter(|pair| !pair.is_empty()).map(|pair| {
        let (key, value) = pair.split_once(' ').unwrap_or((pair, ""));
        let bytes = BASE64.decode(value.trim().as_bytes()).ok()?;
        Some((key, String::from_utf8(bytes).ok()?))
    });
    let pairs: Option<Vec<_>> = decoded.collect();
    pairs.ok_or_else(|| unreadable(&METADATA, "is a list of keys, each with a value of UTF-8 in Base64"))
}

/// The upload at an address, whole or from `/` on.
fn upload_id(address: &str) -> Option<Uuid> {
    let (before, id) = address.trim_end_matches('/').rsplit_once('/')?;
    before.ends_with("/uploads").then(|| id.parse().ok())?
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, RequestProblem> {
    let value = headers.get(name).map(HeaderValue::to_str).transpose();
    value.map_err(|_| unreadable(name, "is plain ASCII"))
}

fn number(headers: &HeaderMap, name: &HeaderName) -> Result<Option<u64>, RequestProblem> {
    let Some(value) = text(headers, name)? else { return Ok(None) };
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    let number = value.parse().ok().filter(|_| digits);
    number.map(Some).ok_or_else(|| unreadable(name, "is a number of bytes"))
}

fn unreadable(name: &HeaderName, what: &str) -> RequestProblem {
    RequestProblem::Unreadable(format!("The header {name} {what}."))
}

fn field(name: &str, detail: &str) -> RequestProblem {
    RequestProblem::Field(FieldProblem { field: name.to_owned(), detail: detail.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    fn encoded(name: &str) -> String {
        BASE64.encode(name.as_bytes())
    }

    #[test]
    fn what_begins_an_upload() {
        let folder = Uuid::from_u128(7);
        let metadata =
            format!("filename {}, folder_id {},is_private", encoded("caf\u{e9}"), encoded(&folder.to_string()));
        let read = creation(&headers(&[("upload-length", "12"), ("upload-metadata", &metadata)]));
        let Ok(Creation::FromBytes(new)) = read else { panic!() };
        assert_eq!((new.length_bytes, new.is_partial, new.folder_id), (12, false, Some(folder)));
        assert_eq!((new.name.unwrap().as_str(), new.metadata), ("caf\u{e9}", metadata));

        let read = creation(&headers(&[("upload-length", "0"), ("upload-concat", "partial")]));
        assert!(matches!(read, Ok(Creation::FromBytes(NewUpload { is_partial: true, .. }))));

        let (a, b) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let parts = format!("final;/api/v1/uploads/{a} https://box.example/api/v1/uploads/{b}");
        let Ok(Creation::FromParts { ids, named, .. }) = creation(&headers(&[("upload-concat", &parts)])) else {
            panic!()
        };
        assert_eq!((ids, named), (vec![a, b], parts));
    }

    #[test]
    fn what_does_not() {
        let dots = format!("filename {}", encoded(".."));
        for bad in [
            &[][..],
            &[("upload-length", "")],
            &[("upload-length", "-1")],
            &[("upload-length", "+1")],
            &[("upload-length", "99999999999999999999")],
            &[("upload-length", "1"), ("upload-metadata", "filename !")],
            &[("upload-length", "1"), ("upload-metadata", &dots)],
            &[("upload-length", "1"), ("upload-metadata", "folder_id eA==")],
            &[("upload-length", "1"), ("upload-concat", "whole")],
            &[("upload-concat", "final")],
            &[("upload-concat", "final;")],
            &[("upload-concat", "final;/api/v1/files/00000000-0000-0000-0000-000000000001")],
            &[("upload-length", "1"), ("tus-resumable", "0.2.2")],
            &[("upload-length", "1"), ("if-match", "abc")],
        ] {
            assert!(creation(&headers(bad)).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn check_sums() {
        let read = |value: &str| checksum(&headers(&[("upload-checksum", value)])).ok();
        assert!(checksum(&HeaderMap::new()).is_ok_and(|sum| sum.is_none()));
        for (value, good) in [
            ("sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=", true),
            ("sha256 uU0nuZNNPgilLlLX2n2r+sSE7+N6U4DukIj3rOLvzek=", true),
            ("md5 XrY7u+Ae7tCTyyK7j1rNww==", false),
            ("sha1", false),
            ("sha1 !", false),
        ] {
            assert_eq!(read(value).is_some(), good, "{value}");
        }
    }
}
