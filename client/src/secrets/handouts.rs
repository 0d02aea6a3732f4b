//! One-time links: something of an item for somebody without an account. What opens it stands behind the `#` of the link, which
//! no server sees (docs/secrets.md, "Links").

use coffer_api::{CreateSecretHandout, OpenSecretHandout, OpenedSecretHandout, SecretHandout, SecretString};
use coffer_crypto::secrets::link::LinkSecret;
use jiff::{SignedDuration, Timestamp};
use ureq::http::Method;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{content::Content, decode, encode, failure::Failure, line::Line, remote::Remote, rng};

const PATH: &str = "/secrets/handouts";
/// Between the address of a box and the id.
const PAGE: &str = "/secret/";

/// A link that was made.
pub struct Made {
    /// To be sent to whom it is for, by a way that the box does not see.
    pub link: SecretString,
    /// What the box calls it.
    pub id: Uuid,
    /// Until when it is good.
    pub expires_at: Timestamp,
}

/// Something that was behind a link.
pub struct Opened {
    /// What it says.
    pub content: Content,
    /// How often the link can still be opened.
    pub views_left: u32,
}

/// What of an item goes behind a link: these fields, or without names all of them and the notes.
pub fn part(item: &Content, fields: &[String]) -> Result<Content, Failure> {
    let mut part = Content::new(item.kind.clone(), item.title.clone());
    if fields.is_empty() {
        part.notes.clone_from(&item.notes);
        part.fields.clone_from(&item.fields);
        return Ok(part);
    }
    for name in fields {
        let unknown = || Failure::Unknown { what: "field", name: name.clone(), hint: "." };
        part.fields.push(item.field(name).ok_or_else(unknown)?.clone());
    }
    Ok(part)
}

/// Makes a link that opens so often, for so long.
pub fn create(line: &Line<'_>, content: &Content, views: u32, good_for: SignedDuration) -> Result<Made, Failure> {
    let secret = LinkSecret::generate(Uuid::new_v4(), &mut rng());
    let id = secret.link();
    let text = serde_json::to_vec(content).map(Zeroizing::new);
    let text = text.map_err(|error| Failure::Usage(error.to_string()))?;
    let body = CreateSecretHandout {
        id,
        access_hash: encode(&secret.access_hash()),
        content: encode(&secret.seal(&text, &mut rng())?),
        views,
        expires_at: (line.device.now)().checked_add(good_for).unwrap_or(Timestamp::MAX),
    };
    let made: SecretHandout = line.send(Method::POST, PATH, Some(&body))?;
    let address = Zeroizing::new(format!("{}{PAGE}{id}#{}", line.device.profile.url, secret.to_text().as_str()));
    Ok(Made { link: SecretString::new(address), id, expires_at: made.expires_at })
}

/// The links of whoever is logged in.
pub fn list(line: &Line<'_>) -> Result<Vec<SecretHandout>, Failure> {
    line.all(PATH)
}

/// Takes a link back. What was opened is known.
pub fn take_back(line: &Line<'_>, id: Uuid) -> Result<(), Failure> {
    line.send::<(), ()>(Method::DELETE, &format!("{PATH}/{id}"), None)
}

/// Opens a link, which uses up a view. Nobody has to be logged in.
pub fn open(link: &str) -> Result<Opened, Failure> {
    let not_whole = || Failure::Usage("That is not a whole link. It should end with # and 43 letters.".to_owned());
    let (address, fragment) = link.trim().split_once('#').ok_or_else(not_whole)?;
    let (url, id) = address.rsplit_once(PAGE).ok_or_else(not_whole)?;
    let id: Uuid = id.parse().map_err(|_| not_whole())?;
    let secret = LinkSecret::parse(id, fragment).map_err(|_| not_whole())?;
    let remote = Remote::at(url)?;
    let body = OpenSecretHandout { access_token: SecretString::new(secret.access_text()) };
    let opened: OpenedSecretHandout =
        remote.send(Method::POST, &format!("{PATH}/{id}/open"), None, None, Some(&body))?;
    let lies = |what| Failure::Protocol { url: url.to_owned(), what };
    let sealed = decode(&opened.content).ok_or_else(|| lies("what it hands out is not written as it should be"))?;
    let text = secret.open(&sealed).map_err(|_| lies("what it hands out does not open with the link"))?;
    let content = serde_json::from_slice(&text).map_err(|_| lies("what the link opens is no item"))?;
    Ok(Opened { content, views_left: opened.views_left })
}
