//! What a client says that a content is: `Content-Digest` (RFC 9530) or `X-Checksum-SHA256`.

use axum::http::HeaderMap;
use data_encoding::{BASE64, HEXLOWER_PERMISSIVE};

use super::problem::RequestProblem;
use crate::model::file::Sha256;

/// Reads the digest, if there is one. Who sends one that we cannot check must not believe that we did.
pub(super) fn expected(headers: &HeaderMap) -> Result<Option<Sha256>, RequestProblem> {
    let structured = headers.get("content-digest").map(|value| value.to_str().ok().and_then(sha256_of_dictionary));
    let plain = headers.get("x-checksum-sha256").map(|value| value.to_str().ok().and_then(hexadecimal));
    match (structured, plain) {
        (None, None) => Ok(None),
        (Some(Some(digest)), None) | (None, Some(Some(digest))) => Ok(Some(digest)),
        (Some(Some(one)), Some(Some(other))) if one == other => Ok(Some(one)),
        (_, _) => Err(RequestProblem::Unreadable(
            "The digest is not Content-Digest: sha-256=:BASE64: nor X-Checksum-SHA256: HEX, or they differ.".to_owned(),
        )),
    }
}

/// The member `sha-256` of a dictionary of byte sequences (RFC 8941, section 3.2).
fn sha256_of_dictionary(text: &str) -> Option<Sha256> {
    text.split(',').find_map(|member| {
        let bytes = member.trim().strip_prefix("sha-256=:")?.strip_suffix(':')?;
        BASE64.decode(bytes.as_bytes()).ok()?.try_into().ok().map(Sha256)
    })
}

fn hexadecimal(text: &str) -> Option<Sha256> {
    HEXLOWER_PERMISSIVE.decode(text.trim().as_bytes()).ok()?.try_into().ok().map(Sha256)
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn digests_of_either_kind() {
        // SHA-256 of nothing.
        let hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let base64 = "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:";
        let both = format!("sha-512=:AAAA:, {base64}");
        let (content, plain) = ("content-digest", "x-checksum-sha256");
        for (headers, expected_hex) in [
            (vec![], Ok(None)),
            (vec![(content, base64)], Ok(Some(hex))),
            (vec![(content, both.as_str())], Ok(Some(hex))),
            (vec![(plain, hex)], Ok(Some(hex))),
            (vec![(plain, &hex.to_uppercase())], Ok(Some(hex))),
            (vec![(plain, hex), (content, base64)], Ok(Some(hex))),
            (vec![(content, "sha-512=:AAAA:")], Err(())),
            (vec![(content, "sha-256=:AAAA:")], Err(())),
            (vec![(content, "sha-256=47DE")], Err(())),
            (vec![(plain, "abc")], Err(())),
            (vec![(plain, &hex.replace('e', "f")), (content, base64)], Err(())),
        ] {
            let headers: HeaderMap = headers
                .into_iter()
                .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()))
                .collect();
            let found = expected(&headers).map(|digest| digest.map(|digest| digest.to_string())).map_err(|_| ());
            assert_eq!(found, expected_hex.map(|hex| hex.map(str::to_owned)), "{headers:?}");
        }
    }
}
