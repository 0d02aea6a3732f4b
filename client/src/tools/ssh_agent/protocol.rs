//! What SSH programs say to an agent (draft-miller-ssh-agent), as far as it is understood here.

use std::io::{self, Read, Write};

/// What OpenSSH's own agent takes at most.
const MAX_MESSAGE_BYTES: usize = 256 << 10;

const FAILURE: u8 = 5;
const REQUEST_IDENTITIES: u8 = 11;
const IDENTITIES_ANSWER: u8 = 12;
const SIGN_REQUEST: u8 = 13;
const SIGN_RESPONSE: u8 = 14;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Request {
    Identities,
    Sign {
        public: Vec<u8>,
        data: Vec<u8>,
        flags: u32,
    },
    /// Adding, removing and locking keys is for the vault; extensions, for agents that have them.
    Other,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Public keys, and what people call them.
    Identities(Vec<(Vec<u8>, String)>),
    Signature(Vec<u8>),
    Failure,
}

/// The next request; none at the end.
pub(super) fn read(from: &mut impl Read) -> io::Result<Option<Request>> {
    let mut length = [0; 4];
    match from.read_exact(&mut length) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    let malformed = || io::Error::from(io::ErrorKind::InvalidData);
    let length = usize::try_from(u32::from_be_bytes(length)).map_err(|_| malformed())?;
    if !(1..=MAX_MESSAGE_BYTES).contains(&length) {
        return Err(malformed());
    }
    let mut message = vec![0; length];
    from.read_exact(&mut message)?;
    parse(&message).map(Some).ok_or_else(malformed)
}

fn parse(message: &[u8]) -> Option<Request> {
    let (kind, mut rest) = message.split_first()?;
    match *kind {
        REQUEST_IDENTITIES => Some(Request::Identities),
        SIGN_REQUEST => {
            let (public, data) = (take(&mut rest)?.to_vec(), take(&mut rest)?.to_vec());
            let flags = u32::from_be_bytes(rest.try_into().ok()?);
            Some(Request::Sign { public, data, flags })
        }
        _ => Some(Request::Other),
    }
}

fn take<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, behind) = rest.split_first_chunk::<4>()?;
    let (text, behind) = behind.split_at_checked(u32::from_be_bytes(*length).try_into().ok()?)?;
    *rest = behind;
    Some(text)
}

/// A text, with its length before it.
pub(super) fn put(message: &mut Vec<u8>, text: &[u8]) {
    message.extend(u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes());
    message.extend_from_slice(text);
}

pub(super) fn write(to: &mut impl Write, answer: &Answer) -> io::Result<()> {
    let mut message = Vec::new();
    match answer {
        Answer::Failure => message.push(FAILURE),
        Answer::Signature(signature) => {
            message.push(SIGN_RESPONSE);
            put(&mut message, signature);
        }
        Answer::Identities(keys) => {
            message.push(IDENTITIES_ANSWER);
            message.extend(u32::try_from(keys.len()).unwrap_or(u32::MAX).to_be_bytes());
            for (public, title) in keys {
                put(&mut message, public);
                put(&mut message, title.as_bytes());
            }
        }
    }
    let mut framed = Vec::with_capacity(message.len() + 4);
    put(&mut framed, &message);
    to.write_all(&framed)?;
    to.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(message: &[u8]) -> Vec<u8> {
        let mut framed = Vec::new();
        put(&mut framed, message);
        framed
    }

    #[test]
    fn requests_are_read() {
        let mut sign = vec![SIGN_REQUEST];
        put(&mut sign, b"key");
        put(&mut sign, b"data");
        sign.extend([0, 0, 0, 4]);
        for (message, request) in [
            (vec![REQUEST_IDENTITIES], Request::Identities),
            (sign.clone(), Request::Sign { public: b"key".to_vec(), data: b"data".to_vec(), flags: 4 }),
            (vec![17, 1, 2], Request::Other),
        ] {
            assert_eq!(read(&mut framed(&message).as_slice()).unwrap(), Some(request));
        }
        assert_eq!(read(&mut [].as_slice()).unwrap(), None);
        for end in 1..sign.len() {
            assert!(read(&mut framed(&sign[..end]).as_slice()).is_err(), "{end}");
        }
    }

    #[test]
    fn what_is_too_long_or_nothing_is_refused() {
        for length in [0_u32, 256 * 1024 + 1, u32::MAX] {
            assert!(read(&mut length.to_be_bytes().as_slice()).is_err());
        }
    }
}
