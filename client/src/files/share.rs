//! Links to a file or a folder, for people without an account.

use coffer_api::{CreateShare, NewShare, Page, SecretString, Share, ShareKind};
use jiff::Timestamp;
use ureq::http::Method;
use uuid::Uuid;

use super::{error::Error, tree::Node};
use crate::secrets::line::Line;

/// One has at most a thousand links, in pages of a hundred.
const MAX_PAGES: usize = 20;

/// What holds for a link.
pub struct Terms {
    /// What its visitors have to know.
    pub password: Option<SecretString>,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// After how many downloads it ends.
    pub downloads: Option<u32>,
}

/// A link that was made.
pub struct Made {
    /// To be sent to whom it is for: it opens what it leads to.
    pub link: SecretString,
    /// The link as the box lists it.
    pub share: Share,
}

/// Makes a link.
pub fn create(line: &Line<'_>, node: &Node, terms: Terms) -> Result<Made, Error> {
    let (file_id, folder_id) = ids(node)?;
    let body = CreateShare {
        kind: ShareKind::Download,
        file_id,
        folder_id,
        name: None,
        expires_at: terms.expires_at,
        password: terms.password,
        max_downloads: terms.downloads,
        max_upload_bytes: None,
    };
    let made: NewShare = line.send(Method::POST, "/shares", Some(&body))?;
    let address = format!("{}{}", line.device.profile.url, made.path.expose());
    Ok(Made { link: SecretString::new(address), share: made.share })
}

/// Takes one's own links to something back; tells how many there were.
pub fn take_back(line: &Line<'_>, node: &Node) -> Result<usize, Error> {
    let (file_id, folder_id) = ids(node)?;
    let item = file_id.or(folder_id).unwrap_or_default();
    let account = line.device.profile.account;
    let (mut cursor, mut all) = (String::new(), Vec::<Uuid>::new());
    for _ in 0..MAX_PAGES {
        let path = format!("/shares?limit=100&item_id={item}&created_by={account}{cursor}");
        let page: Page<Share> = line.get(&path)?;
        all.extend(page.items.iter().map(|share| share.id));
        let Some(next) = page.next_cursor.and_then(|next| next.parse::<Uuid>().ok()) else { break };
        cursor = format!("&cursor={next}");
    }
    for id in &all {
        line.send::<(), ()>(Method::DELETE, &format!("/shares/{id}"), None)?;
    }
    Ok(all.len())
}

fn ids(node: &Node) -> Result<(Option<Uuid>, Option<Uuid>), Error> {
    match node {
        Node::Root => Err(Error::Usage("All of a box cannot be shared, only a folder or a file of it.".to_owned())),
        Node::Folder(folder) => Ok((None, Some(folder.id))),
        Node::File(file) => Ok((Some(file.id), None)),
    }
}
