//! Tables of passwords, as browsers and other vaults write them. A column that is not known becomes a hidden field.

use zeroize::Zeroizing;

use super::{Brought, Format, ImportError};
use crate::{
    secrets::content::{Content, Field, FieldKind, Kind},
    tools::{
        bitwarden::reading::one_time_password,
        csv::{self, Row},
        losses::Losses,
    },
};

/// What a column is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Column {
    Title,
    Urls,
    Username,
    Password,
    Otp,
    Notes,
    Favorite,
    Tag,
    Tags,
    /// Lines of `name: value`.
    Fields,
    Type,
    /// A field that everybody may see.
    Text,
    /// When somebody did something; no item of ours has a place for it.
    Time,
}

struct Dialect {
    name: &'static str,
    columns: &'static [(&'static str, Column)],
    /// What a table must have to be one.
    needed: &'static [&'static str],
}

const BITWARDEN: Dialect = Dialect {
    name: "Bitwarden",
    columns: &[
        ("folder", Column::Tag),
        ("collections", Column::Tags),
        ("favorite", Column::Favorite),
        ("type", Column::Type),
        ("name", Column::Title),
        ("notes", Column::Notes),
        ("fields", Column::Fields),
        ("reprompt", Column::Text),
        ("archivedDate", Column::Time),
        ("login_uri", Column::Urls),
        ("login_username", Column::Username),
        ("login_password", Column::Password),
        ("login_totp", Column::Otp),
    ],
    needed: &["type", "name", "login_uri", "login_username", "login_password"],
};
const CHROME: Dialect = Dialect {
    name: "Chrome",
    columns: &[
        ("name", Column::Title),
        ("url", Column::Urls),
        ("username", Column::Username),
        ("password", Column::Password),
        ("note", Column::Notes),
    ],
    needed: &["name", "url", "username", "password"],
};
const FIREFOX: Dialect = Dialect {
    name: "Firefox",
    columns: &[
        ("url", Column::Urls),
        ("username", Column::Username),
        ("password", Column::Password),
        ("httpRealm", Column::Text),
        ("formActionOrigin", Column::Text),
        ("guid", Column::Text),
        ("timeCreated", Column::Time),
        ("timeLastUsed", Column::Time),
        ("timePasswordChanged", Column::Time),
    ],
    needed: &["url", "username", "password"],
};
const ONE_PASSWORD: Dialect = Dialect {
    name: "1Password",
    columns: &[
        ("Title", Column::Title),
        ("Url", Column::Urls),
        ("Website", Column::Urls),
        ("Username", Column::Username),
        ("Password", Column::Password),
        ("OTPAuth", Column::Otp),
        ("One-time password", Column::Otp),
        ("Favorite", Column::Favorite),
        ("Favorite status", Column::Favorite),
        ("Archived", Column::Text),
        ("Archived status", Column::Text),
        ("Tags", Column::Tags),
        ("Notes", Column::Notes),
    ],
    needed: &["Title", "Username", "Password"],
};

pub(super) fn read(format: Format, text: &str, brought: &mut Brought) -> Result<(), ImportError> {
    let dialect = match format {
        Format::ChromeCsv => CHROME,
        Format::FirefoxCsv => FIREFOX,
        Format::OnePasswordCsv => ONE_PASSWORD,
        Format::BitwardenCsv | Format::BitwardenJson | Format::KeePass | Format::Pass => BITWARDEN,
    };
    let mut rows = csv::read(text)?.into_iter();
    let header = rows.next().map(|(_, header)| header).unwrap_or_default();
    for missing in dialect.needed {
        if !header.iter().any(|name| name.eq_ignore_ascii_case(missing)) {
            return Err(ImportError::Columns { format: dialect.name, missing });
        }
    }
    for (line, row) in rows {
        if row.len() != header.len() {
            return Err(ImportError::Width { line, found: row.len(), expected: header.len() });
        }
        brought.contents.push(content(&dialect, &header, row, &mut brought.losses));
    }
    Ok(())
}

fn content(dialect: &Dialect, header: &Row, row: Row, losses: &mut Losses) -> Content {
    let mut content = Content::new(Kind::Login, String::new());
    let (mut otps, mut times) = (Vec::new(), Vec::new());
    for (name, value) in header.iter().zip(row).filter(|(_, value)| !value.is_empty()) {
        let known = dialect.columns.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        let Some((known, column)) = known else {
            add(&mut content, name, FieldKind::Secret, value);
            continue;
        };
        match column {
            Column::Title => value.as_str().clone_into(&mut content.title),
            Column::Urls => urls(&mut content, &value),
            Column::Username => add(&mut content, "username", FieldKind::Text, value),
            Column::Password => add(&mut content, "password", FieldKind::Secret, value),
            Column::Otp => otps.push(value),
            Column::Notes => content.notes = value,
            Column::Favorite => content.favorite = ["1", "true", "yes"].contains(&value.to_lowercase().as_str()),
            Column::Tag => drop(content.tags.insert(value.to_string())),
            Column::Tags => content.tags.extend(value.split([',', ';']).map(|tag| tag.trim().to_owned())),
            Column::Fields => fields(&mut content, &value),
            Column::Type if *value == "note" => content.kind = Kind::Note,
            Column::Type if *value == "login" => {}
            // Of what is usual, nobody wants to know.
            Column::Text if ["0", "false"].contains(&value.as_str()) => {}
            Column::Type | Column::Text => add(&mut content, name, FieldKind::Text, value),
            Column::Time => times.push(*known),
        }
    }
    content.tags.remove("");
    if content.title.is_empty() {
        content.title = content.field("url").and_then(host).unwrap_or_else(|| "Without a name".to_owned());
    }
    for otp in otps {
        let otp = one_time_password(otp, &content.title, losses);
        content.fields.push(otp);
    }
    if !times.is_empty() {
        losses.add(format!("{}: not taken along", times.join(", ")), &content.title);
    }
    content
}

fn add(content: &mut Content, name: &str, kind: FieldKind, value: Zeroizing<String>) {
    content.fields.push(Field { value, ..Field::new(name, kind, String::new()) });
}

/// Several are separated by commas, which addresses may have too: only one before another address counts.
fn urls(content: &mut Content, text: &str) {
    let mut start = 0;
    let commas = text.match_indices(',').map(|(place, _)| place);
    let borders: Vec<usize> = commas.filter(|place| is_address(&text[place + 1..])).collect();
    for end in borders.into_iter().chain([text.len()]) {
        add(content, "url", FieldKind::Url, Zeroizing::new(text[start..end].to_owned()));
        start = end + 1;
    }
}

/// Whether a scheme comes first.
fn is_address(text: &str) -> bool {
    let scheme = text.split_once("://").map(|(scheme, _)| scheme);
    scheme.is_some_and(|scheme| {
        !scheme.is_empty() && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    })
}

fn fields(content: &mut Content, text: &str) {
    for line in text.lines().filter(|line| !line.is_empty()) {
        // Which of them are secret, the table does not say.
        let (name, value) = line.split_once(": ").unwrap_or((line.trim_end_matches(':'), ""));
        add(content, name, FieldKind::Secret, Zeroizing::new(value.to_owned()));
    }
}

fn host(url: &Field) -> Option<String> {
    let rest = url.value.split_once("://").map_or(url.value.as_str(), |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit('@').next()?;
    Some(host.to_owned()).filter(|host| !host.is_empty())
}
