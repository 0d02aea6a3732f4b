//! What visitors of a share link ask for, by its token: the page, and the same as JSON and bytes.
//!
//! No token or cookie of an account counts here.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequestParts, Path, Query, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use coffer_api::{ItemKind, Page, Problem, ShareInfo, ShareKind, SharedItem};
use http_body_util::{BodyExt, Limited};
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::archives;
use super::content::{self, Described, Disposition};
use super::extract::{Anonymous, Parameters};
use super::folders::PAGE;
use super::problem::{Refusal, RequestProblem};
use super::share_pages::{self as pages, FolderPage};
use crate::model::cursor::Cursor;
use crate::model::item::Item;
use crate::model::share::ShareToken;
use crate::service::Error;
use crate::service::share_visits::{ListCursor, PASS_LIFETIME, ShareVisits, Visit, Visitor};

/// Items on one page of a folder.
const ITEMS: u32 = 100;

/// The cookie that stands for the password. Its path is that of the link: other links, and the API, never see it.
const COOKIE: &str = "coffer_share";

/// Largest form with a password: 1024 characters, each written as up to twelve.
const MAX_FORM_BYTES: usize = 16 * 1024;
/// How long such a form may take to arrive.
const FORM_LIMIT: Duration = Duration::from_secs(10);

/// Somebody at the door.
pub(super) struct Knock {
    pub(super) visit: Visit,
    /// `/share/` and the token, in letters that need no escape; just `/share/` when it is none.
    pub(super) address: String,
    /// A person looks at it, in a browser.
    pub(super) wants_page: bool,
    /// The browser's connection is encrypted, up to the proxy that says so.
    is_secure: bool,
}

impl<S: Send + Sync> FromRequestParts<S> for Knock {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let Anonymous { context, .. } = Anonymous::from_request_parts(parts, state).await?;
        let path = Path::<String>::from_request_parts(parts, state).await;
        let token = path.ok().and_then(|Path(text)| ShareToken::parse(&text));
        let text = token.as_ref().map(ShareToken::text);
        let headers = &parts.headers;
        let told = |name: &str, wanted: &str| {
            headers.get(name).and_then(|value| value.to_str().ok()).is_some_and(|value| value.contains(wanted))
        };
        let visit = Visit { token, password: password(headers), pass: cookie(headers), context };
        Ok(Self {
            visit,
            address: format!("/share/{}", text.as_deref().map_or("", String::as_str)),
            wants_page: told("accept", "text/html"),
            is_secure: told("x-forwarded-proto", "https"),
        })
    }
}

/// What of a shared folder the page shows.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PagePlace {
    /// A folder below the shared one; that itself when absent.
    folder: Option<Uuid>,
    /// Where the page starts.
    cursor: Option<String>,
}

/// Which part of a shared folder.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListItems {
    /// A folder below the shared one; that itself when absent.
    folder: Option<Uuid>,
    /// 1 to 500; 50 when absent.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Which content.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct SharedContent {
    /// Which file of a shared folder.
    item: Option<Uuid>,
    /// `inline` to look at it, where that is safe; `attachment` when absent. A link for looking always shows.
    #[serde(default)]
    #[param(inline)]
    disposition: Disposition,
}

/// Which folder.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct SharedArchive {
    /// A folder below the shared one; that itself when absent.
    folder: Option<Uuid>,
}

/// The form that opens a link with a password.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PasswordForm {
    password: String,
}

/// The page of a share link, for people. Unknown, expired, used-up and revoked links look the same.
#[utoipa::path(get, path = "/share/{token}", tag = "shared", extensions(("x-action" = json!("public"))), params(("token" = String, Path), PagePlace), responses(
    (status = 200, description = "the page", body = String, content_type = "text/html"),
    (status = 403, description = "the form that asks for the password", body = String, content_type = "text/html"),
    (status = 404, description = "no such link", body = String, content_type = "text/html"),
))]
pub(super) async fn page(
    State(visits): State<Arc<ShareVisits>>,
    knock: Knock,
    Parameters(place): Parameters<PagePlace>,
) -> Response {
    let address = knock.address;
    match show(&visits, knock.visit, &address, place).await {
        Ok(html) => pages::reply(html),
        Err(error) => pages::refusal(error, &address),
    }
}

/// Open a link with its password: the form of its page.
///
/// The cookie that comes back stands for the password for an hour, on this link alone. Programs send the password as
/// `X-Share-Password` with each request instead.
#[utoipa::path(post, path = "/share/{token}", tag = "shared", extensions(("x-action" = json!("public"))), params(("token" = String, Path)),
    request_body(content = String, content_type = "application/x-www-form-urlencoded", description = "`password=`"), responses(
    (status = 303, description = "to the page"),
    (status = 403, description = "not the password", body = String, content_type = "text/html"),
    (status = 404, description = "no such link", body = String, content_type = "text/html"),
    (status = 429, description = "too many attempts", body = String, content_type = "text/html"),
))]
pub(super) async fn open(
    State(visits): State<Arc<ShareVisits>>,
    knock: Knock,
    body: Body,
) -> Result<Response, Refusal> {
    let Knock { mut visit, address, is_secure, .. } = knock;
    visit.password = Some(read_form(body).await?);
    // A pass would do without the password, and nobody would notice a wrong one.
    visit.pass = None;
    let entered = match visits.enter(visit).await {
        Ok(visitor) => visits.pass(&visitor),
        Err(error) => Err(error),
    };
    let pass = match entered {
        Ok(pass) => pass,
        Err(error) => return Ok(pages::refusal(error, &address)),
    };
    let mut response = (StatusCode::SEE_OTHER, [(header::LOCATION, address.clone())]).into_response();
    if let Some(pass) = pass {
        let secure = if is_secure { "; Secure" } else { "" };
        let age = PASS_LIFETIME.as_secs();
        let cookie = format!("{COOKIE}={pass}; Path={address}; Max-Age={age}; HttpOnly; SameSite=Strict{secure}");
        content::insert(response.headers_mut(), header::SET_COOKIE, &cookie);
    }
    Ok(response)
}

/// Look at a share link.
#[utoipa::path(get, path = "/share/{token}/info", tag = "shared", extensions(("x-action" = json!("public"))), params(("token" = String, Path)), responses(
    (status = 200, body = ShareInfo),
    (status = 403, description = "`share_password`: not its password", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such link", body = Problem, content_type = "application/problem+json"),
    (status = 429, description = "too many attempts", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn info(
    State(visits): State<Arc<ShareVisits>>,
    knock: Knock,
) -> Result<axum::Json<ShareInfo>, Refusal> {
    let visitor = visits.enter(knock.visit).await?;
    let share = &visitor.share;
    let file = visitor.file();
    let item_name = match (&visitor.item, share.kind) {
        // Who may only send learns nothing of where it goes.
        (_, ShareKind::Drop) => None,
        (Item::File(file), ShareKind::Download | ShareKind::View) => Some(&file.name),
        (Item::Folder(folder), ShareKind::Download | ShareKind::View) => Some(&folder.name),
    };
    Ok(axum::Json(ShareInfo {
        kind: share.kind,
        item: if file.is_some() { ItemKind::File } else { ItemKind::Folder },
        name: share.name.as_ref().or(item_name).cloned(),
        size_bytes: file.map(|file| file.size_bytes),
        media_type: file.map(|file| file.media_type.clone()),
        expires_at: share.expires_at,
        downloads_left: share.downloads_left(),
        upload_bytes_left: share.upload_bytes_left(),
    }))
}

/// List what is in a shared folder, or in one below it: folders first, then files, by name.
#[utoipa::path(get, path = "/share/{token}/items", tag = "shared", extensions(("x-action" = json!("public"))), params(("token" = String, Path), ListItems), responses(
    (status = 200, body = Page<SharedItem>),
    (status = 403, description = "`share_password`, `forbidden`: not its password, or not a link to look into a folder", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such link or folder", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "not a cursor", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn items(
    State(visits): State<Arc<ShareVisits>>,
    knock: Knock,
    Parameters(wanted): Parameters<ListItems>,
) -> Result<axum::Json<Page<SharedItem>>, Refusal> {
    let visitor = visits.enter(knock.visit).await?;
    let after = list_cursor(wanted.cursor.as_deref())?;
    let page = visits.list(&visitor, wanted.folder, after, wanted.limit.unwrap_or(PAGE)).await?;
    let items = page.items.into_iter().map(wire).collect();
    Ok(axum::Json(Page { items, next_cursor: page.next.as_ref().map(cursor_text) }))
}

/// Download the shared file, or one in the shared folder, or look at it. Knows `Range`, `If-Range`, `If-None-Match` and
/// HEAD. The parts of one download count once.
#[utoipa::path(get, path = "/share/{token}/content", tag = "shared", extensions(("x-action" = json!("public"))), params(("token" = String, Path), SharedContent), responses(
    (status = 200, description = "all of it", body = Vec<u8>, content_type = "application/octet-stream"),
    (status = 206, description = "the part asked for, or several as multipart/byteranges", body = Vec<u8>, content_type = "application/octet-stream"),
    (status = 304, description = "the client has it"),
    (status = 403, description = "`share_password`, `forbidden`: not its password, or not what the link is for", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such link or file", body = Problem, content_type = "application/problem+json"),
    (status = 416, description = "outside of the content", body = Problem, content_type = "application/problem+json"),
    (status = 500, description = "`damaged`, `decryption_failed`: the stored bytes do not read back, or do not open", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn content(
    State(visits): State<Arc<ShareVisits>>,
    knock: Knock,
    Parameters(wanted): Parameters<SharedContent>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let Knock { visit, address, wants_page, .. } = knock;
    match serve(&visits, visit, wanted, &method, &headers).await {
        Err(Refusal::Service(error)) if wants_page => Ok(pages::refusal(error, &address)),
        served => served,
    }
}

/// Download the shared folder, or one below it, as a ZIP archive. It counts as one download.
#[utoipa::path(get, path = "/share/{token}/archive", tag = "shared", extensions(("x-action" = json!("public"))), params(("token" = String, Path), SharedArchive), responses(
    (status = 200, description = "the archive", body = Vec<u8>, content_type = "application/zip"),
    (status = 403, description = "`share_password`, `forbidden`: not its password, or not a link to download a folder", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such link or folder", body = Problem, content_type = "application/problem+json"),
    (status = 413, description = "too much for one archive", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "many archives are being made", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn archive(
    State(visits): State<Arc<ShareVisits>>,
    knock: Knock,
    Parameters(wanted): Parameters<SharedArchive>,
    method: Method,
) -> Result<Response, Refusal> {
    let Knock { visit, address, wants_page, .. } = knock;
    match pack(&visits, visit, wanted.folder, &method).await {
        Err(Refusal::Service(error)) if wants_page => Ok(pages::refusal(error, &address)),
        packed => packed,
    }
}

async fn pack(
    visits: &ShareVisits,
    visit: Visit,
    folder_id: Option<Uuid>,
    method: &Method,
) -> Result<Response, Refusal> {
    let visitor = visits.enter(visit).await?;
    let archive = visits.archive(&visitor, folder_id).await?;
    archives::reply(archive, method, |archive| visits.send(&visitor, archive)).await
}

async fn show(visits: &ShareVisits, visit: Visit, address: &str, place: PagePlace) -> Result<String, Error> {
    let visitor = visits.enter(visit).await?;
    let is_first = place.cursor.is_none();
    let html = match (&visitor.item, visitor.share.kind) {
        (_, ShareKind::Drop) => pages::drop(address, &visitor.share, &[]),
        (Item::File(file), ShareKind::Download | ShareKind::View) => pages::file(address, &visitor.share, file),
        (Item::Folder(top), ShareKind::Download | ShareKind::View) => {
            let after = list_cursor(place.cursor.as_deref())?;
            let listed = visits.list(&visitor, place.folder, after, ITEMS).await?;
            let page = FolderPage {
                share: &visitor.share,
                top: &top.name,
                folder_id: place.folder,
                way: &listed.way,
                items: &listed.items,
                is_first,
                next: listed.next.as_ref().map(cursor_text),
            };
            pages::folder(address, &page)
        }
    };
    // Going about in a folder is one visit.
    if is_first && place.folder.is_none() {
        visits.note_view(&visitor).await;
    }
    Ok(html)
}

async fn serve(
    visits: &ShareVisits,
    visit: Visit,
    wanted: SharedContent,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Response, Refusal> {
    let (visitor, file) = visits.enter_to_read(visit, wanted.item).await?;
    let disposition = disposition(&visitor, &wanted);
    if visitor.share.kind == ShareKind::View && !pages::is_shown(&file) {
        return Err(Error::ShareForbids.into());
    }
    let described = Described {
        file_name: &file.name,
        media_type: &file.media_type,
        size_bytes: file.size_bytes,
        sha256: &file.sha256,
    };
    content::serve(described, disposition, method, headers, |pieces| visits.read(&visitor, &file, pieces)).await
}

fn disposition(visitor: &Visitor, wanted: &SharedContent) -> Disposition {
    match visitor.share.kind {
        ShareKind::View => Disposition::Inline,
        ShareKind::Download | ShareKind::Drop => wanted.disposition,
    }
}

/// The password of a header. Browsers cannot send one there; people type what they like.
fn password(headers: &HeaderMap) -> Option<Zeroizing<String>> {
    let value: &HeaderValue = headers.get("x-share-password")?;
    String::from_utf8(value.as_bytes().to_vec()).ok().map(Zeroizing::new)
}

fn cookie(headers: &HeaderMap) -> Option<String> {
    let pairs = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = pairs.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE).map(|(_, value)| value.to_owned())
}

async fn read_form(body: Body) -> Result<Zeroizing<String>, Refusal> {
    let not_understood = || {
        let detail = "Send the password as a form of a browser does: password= and the password.";
        Refusal::Request(RequestProblem::Unreadable(detail.to_owned()))
    };
    let collected = tokio::time::timeout(FORM_LIMIT, Limited::new(body, MAX_FORM_BYTES).collect()).await;
    let collected = collected.map_err(|_| Refusal::Request(RequestProblem::TimedOut))?;
    let bytes = Zeroizing::new(collected.map_err(|_| not_understood())?.to_bytes().to_vec());
    // A form is written as a query is.
    let uri = Uri::try_from([b"/?", bytes.as_slice()].concat()).map_err(|_| not_understood())?;
    let Query(form) = Query::<PasswordForm>::try_from_uri(&uri).map_err(|_| not_understood())?;
    Ok(Zeroizing::new(form.password))
}

fn list_cursor(text: Option<&str>) -> Result<Option<ListCursor>, Error> {
    let parse = |text: &str| match text.split_at_checked(1)? {
        ("d", rest) => Cursor::parse(rest).map(ListCursor::Folders),
        ("f", rest) => Cursor::parse(rest).map(ListCursor::Files),
        (_, _) => None,
    };
    let not_one = || Error::field("cursor", "it is not one that a list like this gave");
    text.map(|text| parse(text).ok_or_else(not_one)).transpose()
}

fn cursor_text(cursor: &ListCursor) -> String {
    match cursor {
        ListCursor::Folders(cursor) => format!("d{}", cursor.to_text()),
        ListCursor::Files(cursor) => format!("f{}", cursor.to_text()),
    }
}

fn wire(item: Item) -> SharedItem {
    match item {
        Item::File(file) => SharedItem {
            id: file.id,
            kind: ItemKind::File,
            name: file.name,
            size_bytes: Some(file.size_bytes),
            media_type: Some(file.media_type),
            modified_at: file.modified_at,
        },
        Item::Folder(folder) => SharedItem {
            id: folder.id,
            kind: ItemKind::Folder,
            name: folder.name,
            size_bytes: None,
            media_type: None,
            modified_at: folder.modified_at,
        },
    }
}
