//! The pages that visitors of a share link see: HTML made here, with its styles inside, and no script at all.
//!
//! Every text that somebody chose goes through [`escaped`]. A page knows the address of its link, and nothing else of it.

use std::fmt::Write as _;
use std::sync::LazyLock;

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use coffer_api::ProblemCode;
use data_encoding::BASE64;
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::problem::with_page;
use crate::model::file::File;
use crate::model::item::Item;
use crate::model::media_type::MediaType;
use crate::model::share::{Share, ShareKind};
use crate::service::Error;

pub(super) const STYLES: &str = include_str!("share_page.css");

/// The page's own styles, by their digest; forms that stay here; nothing else.
static POLICY: LazyLock<Option<HeaderValue>> = LazyLock::new(|| {
    let digest = BASE64.encode(&Sha256::digest(STYLES));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{digest}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    );
    HeaderValue::try_from(policy).ok()
});

pub(super) const ROBOTS: HeaderName = HeaderName::from_static("x-robots-tag");

pub(super) const LOGO: &str = "<svg viewBox=\"0 0 24 24\" fill=\"none\" stroke=\"currentColor\" stroke-width=\"1.8\" aria-hidden=\"true\">\
    <rect x=\"3\" y=\"4\" width=\"18\" height=\"15\" rx=\"3\"/><circle cx=\"12\" cy=\"11.5\" r=\"3.2\"/>\
    <path d=\"M12 8.3v-1.6M12 16.3v-1.6M7 19v1.5M17 19v1.5\"/></svg>";
const FOLDER: &str = "<svg viewBox=\"0 0 24 24\" fill=\"currentColor\" aria-hidden=\"true\">\
    <path d=\"M3 7a2 2 0 0 1 2-2h4l2 2.5h8a2 2 0 0 1 2 2V17a2 2 0 0 1-2 2H5a2 2 0 0 1-2-2z\"/></svg>";
const FILE: &str = "<svg viewBox=\"0 0 24 24\" fill=\"none\" stroke=\"currentColor\" stroke-width=\"1.8\" aria-hidden=\"true\">\
    <path d=\"M6 3.5h8l4.5 4.5v12a.5.5 0 0 1-.5.5H6a.5.5 0 0 1-.5-.5V4a.5.5 0 0 1 .5-.5zM14 3.5V8h4.5\"/></svg>";

/// A folder as it is shown.
pub(super) struct FolderPage<'a> {
    pub(super) share: &'a Share,
    /// Name of the shared folder.
    pub(super) top: &'a str,
    /// Which folder is shown; the shared one when absent.
    pub(super) folder_id: Option<Uuid>,
    /// From the shared folder, not included, down to the one that is shown.
    pub(super) way: &'a [(Uuid, String)],
    pub(super) items: &'a [Item],
    pub(super) is_first: bool,
    pub(super) next: Option<String>,
}

/// What became of a file that a visitor sent.
pub(super) enum Sent {
    Stored { name: String, size_bytes: u64 },
    Refused { name: String, why: String },
}

impl Sent {
    /// How much of it was stored.
    pub(super) fn stored_bytes(&self) -> u64 {
        match self {
            Self::Stored { size_bytes, .. } => *size_bytes,
            Self::Refused { .. } => 0,
        }
    }
}

/// A page that has nothing to complain of.
pub(super) fn reply(html: String) -> Response {
    dressed((StatusCode::OK, html).into_response())
}

/// The page for a refusal, with the same status as the problem document. `address` is that of the link.
pub(super) fn refusal(error: Error, address: &str) -> Response {
    let complaint = match &error {
        Error::SharePassword { wrong: false } => Some(None),
        Error::SharePassword { wrong: true } => Some(Some("That is not the password. Try again.".to_owned())),
        Error::TooManyAttempts { retry_after } => {
            let seconds = retry_after.as_secs() + 1;
            Some(Some(format!("Too many attempts. Wait {seconds} seconds, then try again.")))
        }
        _ => None,
    };
    dressed(with_page(error, |problem| match (complaint, problem.code) {
        (Some(complaint), _) => password(address, complaint.as_deref()),
        (None, ProblemCode::NotFound) => message(
            "This link is not available",
            "It may have expired, been used up or been taken back, or what it led to is gone. Ask whoever sent it to you.",
        ),
        (None, ProblemCode::VaultLocked | ProblemCode::Lockdown | ProblemCode::KeyFile | ProblemCode::VaultAbsent) => {
            message(
                "The box is locked",
                "Nothing can be opened right now. Try again later, or ask whoever sent you the link.",
            )
        }
        (None, ProblemCode::WriteProtected) => {
            message("Closed for now", "The folder takes no files right now. Ask whoever sent you the link.")
        }
        (None, _) => message(&problem.title, &problem.detail),
    }))
}

/// A file that can be had.
pub(super) fn file(address: &str, share: &Share, file: &File) -> String {
    let title = share.name.as_deref().unwrap_or(&file.name);
    let mut body = heading(title);
    let named = if share.name.is_some() { format!("{} · ", bidi(&file.name)) } else { String::new() };
    let size = size(file.size_bytes);
    let _ = write!(body, "<p class=\"facts\">{named}{size}</p><p class=\"buttons\">");
    let shown = is_shown(file);
    match share.kind {
        ShareKind::View | ShareKind::Drop if !shown => {
            body.push_str(
                "</p><p>This kind of file cannot be shown in a browser, and the link is for looking only.</p>",
            );
        }
        ShareKind::View | ShareKind::Drop => {
            let _ = write!(body, "<a class=\"button\" href=\"{address}/content?disposition=inline\">Open</a></p>");
        }
        ShareKind::Download => {
            let _ = write!(body, "<a class=\"button\" href=\"{address}/content\">Download</a>");
            if shown {
                let href = format!("{address}/content?disposition=inline");
                let _ = write!(body, "<a class=\"button second\" href=\"{href}\">Open in the browser</a>");
            }
            body.push_str("</p>");
        }
    }
    document(title, &body, Some(share))
}

/// A page of a folder.
pub(super) fn folder(address: &str, page: &FolderPage<'_>) -> String {
    let title = page.share.name.as_deref().unwrap_or(page.top);
    // What is shown comes first, also for who listens to the page.
    let mut body = heading(page.way.last().map_or(title, |(_, name)| name.as_str()));
    if let Some(((_, last), above)) = page.way.split_last() {
        let _ = write!(body, "<nav aria-label=\"Folders\"><ol><li><a href=\"{address}\">{}</a></li>", bidi(title));
        for (id, name) in above {
            let _ = write!(body, "<li><a href=\"{address}?folder={id}\">{}</a></li>", bidi(name));
        }
        let _ = write!(body, "<li aria-current=\"page\">{}</li></ol></nav>", bidi(last));
    }
    if page.items.is_empty() && page.is_first {
        body.push_str("<p class=\"quiet\">There is nothing in this folder.</p>");
    } else {
        body.push_str(
            "<table><thead><tr><th scope=\"col\">Name</th><th scope=\"col\" class=\"end\">Size</th>\
             <th scope=\"col\" class=\"end wide\">Changed</th></tr></thead><tbody>",
        );
        page.items.iter().for_each(|item| row(&mut body, address, page.share.kind, item));
        body.push_str("</tbody></table>");
    }
    pages(&mut body, address, page);
    if page.share.kind == ShareKind::Download && !page.items.is_empty() {
        let place = page.folder_id.map(|id| format!("?folder={id}")).unwrap_or_default();
        let href = format!("{address}/archive{place}");
        let _ = write!(body, "<p class=\"next\"><a class=\"button\" href=\"{href}\">Download all (ZIP)</a></p>");
    }
    document(title, &body, Some(page.share))
}

/// The form for files that visitors send; with what became of those that they just sent.
pub(super) fn drop(address: &str, share: &Share, sent: &[Sent]) -> String {
    let title = share.name.as_deref().unwrap_or("Send files");
    let mut body = heading(title);
    if sent.is_empty() {
        body.push_str(
            "<p class=\"quiet\">What you send goes to whoever made this link. You will not see it here again.</p>",
        );
    } else {
        body.push_str("<ul class=\"results\" role=\"status\">");
        for sent in sent {
            let _ = match sent {
                Sent::Stored { name, size_bytes } => {
                    write!(body, "<li><strong>Sent:</strong> {} ({})</li>", bidi(name), size(*size_bytes))
                }
                Sent::Refused { name, why } => {
                    write!(
                        body,
                        "<li class=\"bad\"><strong>Not sent:</strong> {}<small>{}</small></li>",
                        bidi(name),
                        escaped(why)
                    )
                }
            };
        }
        body.push_str("</ul>");
    }
    let _ = write!(
        body,
        "<form method=\"post\" action=\"{address}/upload\" enctype=\"multipart/form-data\">\
         <label for=\"files\">{}</label><input id=\"files\" name=\"files\" type=\"file\" multiple required>\
         <button type=\"submit\">Send</button></form>",
        if sent.is_empty() { "Choose files" } else { "Send more files" }
    );
    document(title, &body, Some(share))
}

fn password(address: &str, complaint: Option<&str>) -> String {
    let mut body = heading("This link has a password");
    let described = if let Some(complaint) = complaint {
        let _ = write!(body, "<p id=\"complaint\" class=\"alert\" role=\"alert\">{}</p>", escaped(complaint));
        " aria-invalid=\"true\" aria-describedby=\"complaint\""
    } else {
        body.push_str("<p class=\"quiet\">Whoever sent you the link knows it.</p>");
        ""
    };
    let _ = write!(
        body,
        "<form method=\"post\" action=\"{address}\"><label for=\"password\">Password</label>\
         <input id=\"password\" name=\"password\" type=\"password\" maxlength=\"1024\" required autofocus \
         autocomplete=\"off\"{described}><button type=\"submit\">Open</button></form>"
    );
    document("Password", &body, None)
}

fn message(title: &str, text: &str) -> String {
    document(title, &format!("{}<p>{}</p>", heading(title), escaped(text)), None)
}

fn row(body: &mut String, address: &str, kind: ShareKind, item: &Item) {
    let _ = match item {
        Item::Folder(folder) => write!(
            body,
            "<tr><td>{FOLDER}<a href=\"{address}?folder={}\">{}</a></td><td class=\"end\">Folder</td>\
             <td class=\"end wide\">{}</td></tr>",
            folder.id,
            bidi(&folder.name),
            day(folder.modified_at)
        ),
        Item::File(file) => {
            let href = match kind {
                ShareKind::Download => Some(format!("{address}/content?item={}", file.id)),
                ShareKind::View | ShareKind::Drop => {
                    is_shown(file).then(|| format!("{address}/content?item={}&amp;disposition=inline", file.id))
                }
            };
            let name = bidi(&file.name);
            let name = match href {
                Some(href) => format!("<a href=\"{href}\">{name}</a>"),
                None => format!("{name} <span class=\"quiet\">(cannot be shown)</span>"),
            };
            write!(
                body,
                "<tr><td>{FILE}{name}</td><td class=\"end\">{}</td><td class=\"end wide\">{}</td></tr>",
                size(file.size_bytes),
                day(file.modified_at)
            )
        }
    };
}

fn pages(body: &mut String, address: &str, page: &FolderPage<'_>) {
    let place = page.folder_id.map(|id| format!("folder={id}"));
    let link = |cursor: Option<String>| {
        let query: Vec<String> = place.clone().into_iter().chain(cursor).collect();
        if query.is_empty() { address.to_owned() } else { format!("{address}?{}", query.join("&amp;")) }
    };
    if page.is_first && page.next.is_none() {
        return;
    }
    body.push_str("<p class=\"next buttons\">");
    if !page.is_first {
        let _ = write!(body, "<a class=\"button second\" href=\"{}\">Back to the beginning</a>", link(None));
    }
    if let Some(next) = &page.next {
        let href = link(Some(format!("cursor={next}")));
        let _ = write!(body, "<a class=\"button second\" rel=\"next\" href=\"{href}\">Next page</a>");
    }
    body.push_str("</p>");
}

fn heading(title: &str) -> String {
    format!("<h1>{}</h1>", bidi(title))
}

fn document(title: &str, body: &str, share: Option<&Share>) -> String {
    let mut ends = Vec::new();
    if let Some(end) = share.and_then(|share| share.expires_at) {
        ends.push(format!("This link ends on {}.", end.strftime("%-d %B %Y at %H:%M UTC")));
    }
    match share.and_then(Share::downloads_left) {
        Some(1) => ends.push("It is good for one more download.".to_owned()),
        Some(left) => ends.push(format!("It is good for {left} more downloads.")),
        None => {}
    }
    if let Some(left) = share.and_then(Share::upload_bytes_left) {
        ends.push(format!("It takes {} more.", size(left)));
    }
    format!(
        "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"robots\" content=\"noindex, nofollow\"><title>{} · Coffer</title><style>{STYLES}</style></head>\
         <body><header>{LOGO}<span>Coffer</span></header><main><div class=\"card\">{body}</div></main>\
         <footer>{}</footer></body></html>",
        escaped(title),
        ends.join(" ")
    )
}

/// The headers of every page.
fn dressed(mut response: Response) -> Response {
    let headers: &mut HeaderMap = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    headers.insert(ROBOTS, HeaderValue::from_static("noindex, nofollow"));
    if let Some(policy) = &*POLICY {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy.clone());
    }
    response
}

/// Whether a browser shows it without running anything.
pub(super) fn is_shown(file: &File) -> bool {
    MediaType::kept(file.media_type.clone()).is_safe_inline()
}

/// A name that runs from right to left must not turn what stands around it.
fn bidi(text: &str) -> String {
    format!("<bdi>{}</bdi>", escaped(text))
}

fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

fn day(at: Timestamp) -> String {
    at.strftime("%-d %b %Y").to_string()
}

/// A length as people read it, with one decimal where that says something.
fn size(bytes: u64) -> String {
    const UNITS: [(&str, u64); 4] =
        [("TB", 1_000_000_000_000), ("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1_000)];
    if bytes == 1 {
        return "1 byte".to_owned();
    }
    let Some((unit, scale)) = UNITS.into_iter().find(|(_, scale)| bytes >= *scale) else {
        return format!("{bytes} bytes");
    };
    let (whole, tenth) = (bytes / scale, bytes % scale * 10 / scale);
    if whole < 10 && tenth > 0 { format!("{whole}.{tenth} {unit}") } else { format!("{whole} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_becomes_markup() {
        assert_eq!(escaped("<b title='x' y=\"z\">&amp;"), "&lt;b title=&#39;x&#39; y=&quot;z&quot;&gt;&amp;amp;");
    }

    #[test]
    fn lengths_as_people_read_them() {
        for (bytes, expected) in [
            (0, "0 bytes"),
            (1, "1 byte"),
            (999, "999 bytes"),
            (1_000, "1 kB"),
            (1_550, "1.5 kB"),
            (23_900, "23 kB"),
            (4_200_000, "4.2 MB"),
            (7_000_000_000, "7 GB"),
            (u64::MAX, "18446744 TB"),
        ] {
            assert_eq!(size(bytes), expected);
        }
    }
}
