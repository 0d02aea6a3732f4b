//! Canaries: words that are planted wherever a person can write, and then looked for, in every encoding, wherever the box could read.

use aho_corasick::AhoCorasick;
use data_encoding::{BASE32_NOPAD, BASE64, BASE64URL_NOPAD, Encoding, HEXLOWER, HEXUPPER};
use serde_json::json;
use uuid::Uuid;

use super::{
    box_under_test::BoxUnderTest,
    device::{Device, PASSWORD},
    proxy::Proxy,
};

/// Looks for words.
pub(super) struct Hunt {
    words: Vec<String>,
    /// Which word each pattern is a form of.
    owners: Vec<usize>,
    patterns: AhoCorasick,
}

impl Hunt {
    pub(super) fn of(words: impl IntoIterator<Item = String>) -> Self {
        let words: Vec<String> = words.into_iter().collect();
        let forms: Vec<Vec<Vec<u8>>> = words.iter().map(|word| forms(word)).collect();
        let owners = forms.iter().enumerate().flat_map(|(owner, forms)| vec![owner; forms.len()]).collect();
        Self { words, owners, patterns: AhoCorasick::new(forms.into_iter().flatten()).unwrap() }
    }

    /// The words that are there, in some form.
    pub(super) fn found(&self, bytes: &[u8]) -> Vec<&str> {
        let owners = self.patterns.find_overlapping_iter(bytes).map(|found| self.owners[found.pattern().as_usize()]);
        let owners: std::collections::BTreeSet<usize> = owners.collect();
        owners.into_iter().map(|owner| self.words[owner].as_str()).collect()
    }

    #[track_caller]
    pub(super) fn expect_none(&self, place: &str, bytes: &[u8]) {
        assert!(bytes.len() > 1000, "there is something in the {place}");
        assert_eq!(self.found(bytes), Vec::<&str>::new(), "in the {place}");
    }
}

/// A text as it would be found in files and on the way.
fn forms(text: &str) -> Vec<Vec<u8>> {
    let bytes = text.as_bytes();
    let each = |form: fn(u8) -> String| bytes.iter().map(|byte| form(*byte)).collect::<String>().into_bytes();
    let mut forms = vec![
        bytes.to_vec(),
        text.to_uppercase().into_bytes(),
        text.to_lowercase().into_bytes(),
        bytes.iter().rev().copied().collect(),
        HEXLOWER.encode(bytes).into_bytes(),
        HEXUPPER.encode(bytes).into_bytes(),
        each(|byte| format!("%{byte:02X}")),
        each(|byte| format!("%{byte:02x}")),
        each(|byte| format!("\\u{byte:04x}")),
        each(|byte| format!("\\x{byte:02x}")),
        text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        text.encode_utf16().flat_map(u16::to_be_bytes).collect(),
    ];
    for (encoding, block) in [(&BASE64, 3), (&BASE64URL_NOPAD, 3), (&BASE32_NOPAD, 5)] {
        forms.extend((0..block).map(|shift| inside(encoding, shift, bytes)));
    }
    forms.sort();
    forms.dedup();
    forms
}

/// What stands in an encoded text for these bytes alone, when they begin at such a place of a block.
fn inside(encoding: &Encoding, shift: usize, bytes: &[u8]) -> Vec<u8> {
    let bits = encoding.bit_width();
    let encoded = encoding.encode(&[&[0; 8][..shift], bytes].concat());
    let (first, last) = ((shift * 8).div_ceil(bits), (shift + bytes.len()) * 8 / bits);
    encoded.as_bytes()[first..last].to_vec()
}

#[test]
fn a_word_is_found_in_every_form() {
    let word = "Canary-17";
    let hunt = Hunt::of([word.to_owned(), "other".to_owned()]);
    let wide: Vec<u8> = word.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mut texts = vec![json!(word).to_string().into_bytes(), wide, b"a=%43%61%6e%61%72%79%2d%31%37".to_vec()];
    for before in 0..10 {
        let text = [&b"0123456789"[..before], word.as_bytes(), b"and more"].concat();
        let encodings = [BASE64, BASE64URL_NOPAD, BASE32_NOPAD, HEXLOWER, HEXUPPER];
        texts.extend(encodings.map(|encoding| encoding.encode(&text).into_bytes()));
    }
    for text in texts {
        assert_eq!(hunt.found(&text), [word], "{}", String::from_utf8_lossy(&text));
    }
    assert_eq!(hunt.found(b"Canary-71 in a cage"), Vec::<&str>::new());
}

/// Gives out words that nobody has written before.
#[derive(Default)]
struct Nest(Vec<String>);

impl Nest {
    fn word(&mut self) -> String {
        let word = format!("canary{:02}{}", self.0.len(), &Uuid::new_v4().simple().to_string()[..8]);
        self.0.push(word.clone());
        word
    }
}

const TYPES: [&str; 11] =
    ["login", "password", "note", "api-key", "ssh-key", "totp", "card", "identity", "environment", "file", "custom"];

/// One item of each type: title, a field, a secret, and notes. Gives the titles.
fn plant_items(desk: &Device, nest: &mut Nest, vault: &str) -> Vec<String> {
    let plant = |kind| {
        let (title, field) = (nest.word(), format!("{}={}", nest.word(), nest.word()));
        let notes = desk.file("notes", &nest.word());
        let arguments = ["item", "create", vault, "--type", kind, "--title", &title, "--field", &field];
        let more = ["--secret", "password", "--notes-file", &notes];
        desk.ok(&[&arguments[..], &more].concat(), &nest.word());
        title
    };
    TYPES.map(plant).to_vec()
}

/// Every kind of field, a tag, and what was written over.
fn plant_fields(desk: &Device, nest: &mut Nest, vault: &str) -> String {
    let title = nest.word();
    let otp = desk.file("otp", &format!("otpauth://totp/{}?secret=JBSWY3DPEHPK3PXP", nest.word()));
    let secret = nest.word();
    let fields = [
        ("site:url", format!("https://{}.example", nest.word())),
        ("mail:email", format!("{}@a.example", nest.word())),
    ];
    let fields = fields.map(|(name, value)| format!("{name}={value}"));
    let tag = nest.word();
    let made =
        ["item", "create", vault, "--title", &title, "--field", &fields[0], "--field", &fields[1], "--tag", &tag];
    let otp = format!("code:otp={otp}");
    desk.ok(&[&made[..], &["--secret", "password", "--secret-file", &otp]].concat(), &secret);
    desk.sync();
    desk.change(vault, &title, &nest.word());
    desk.ok(&["item", "edit", vault, &title, "--tag", &nest.word(), "--untag", &tag], "");
    desk.sync();
    title
}

/// What another program had.
fn import(desk: &Device, nest: &mut Nest, vault: &str) {
    let login = json!({ "username": nest.word(), "password": nest.word(), "uris": [{ "uri": format!("https://{}.example", nest.word()) }] });
    let item = json!({ "type": 1, "name": nest.word(), "notes": nest.word(), "login": login,
        "fields": [{ "name": nest.word(), "value": nest.word(), "type": 1 }] });
    let file = desk.file("export.json", &json!({ "encrypted": false, "folders": [], "items": [item] }).to_string());
    desk.ok(&["import", "bitwarden", &file, "--vault", vault], "");
}

#[test]
fn what_people_write_is_nowhere_that_the_box_could_read_it() {
    let the_box = BoxUnderTest::new();
    the_box.account("grace");
    the_box.account("henry");
    let proxy = Proxy::before(&the_box);
    let desk = Device::first_of("grace", &proxy.url());
    let henry = Device::first_of("henry", &proxy.url());
    let mut nest = Nest::default();
    let vault = nest.word();
    desk.ok(&["vault", "create", &vault], "");
    let titles = plant_items(&desk, &mut nest, &vault);
    let title = plant_fields(&desk, &mut nest, &vault);
    import(&desk, &mut nest, &vault);
    desk.sync();

    desk.ok(&["share", &vault, "henry", "editor"], "");
    henry.sync();
    let laptop = Device::another_of("grace", &proxy.url(), "laptop", &desk);
    laptop.sync();
    // On all three, at once: two become copies of what the first one says.
    for device in [&desk, &laptop, &henry] {
        device.change(&vault, &title, &nest.word());
        let (field, more) = (format!("user={}", nest.word()), nest.word());
        device.ok(&["item", "edit", &vault, &title, "--field", &field, "--tag", &more], "");
    }
    for device in [&desk, &laptop, &henry, &desk, &laptop] {
        device.sync();
    }
    assert_eq!(desk.titles(&vault).iter().filter(|copy| copy.contains("conflict of")).count(), 2);
    let links = ["--json", "--views", "2"];
    let link = desk.run(&[&["link", "create", &vault, &title][..], &links].concat(), "").json().remove(0);
    Device::new().ok(&["link", "open", "--link-file", "-"], link["link"].as_str().unwrap());
    desk.ok(&["item", "share", &vault, &titles[0], "henry", "viewer"], "");
    desk.ok(&["item", "rm", &vault, &titles[1]], "");
    desk.ok(&["item", "restore", &vault, &title, "1"], "");
    let renamed = nest.word();
    desk.ok(&["vault", "rename", &vault, &renamed], "");
    desk.sync();
    desk.ok(&["unshare", &renamed, "henry"], "");
    desk.change(&renamed, &title, &nest.word());
    desk.ok(&["search", &titles[2]], "");
    desk.ok(&["item", "history", &renamed, &title, "--show"], "");
    desk.sync();
    laptop.sync();

    assert!(nest.0.len() >= 50, "{}", nest.0.len());
    assert!(laptop.titles(&renamed).contains(&titles[3]), "the words are read where they may be");
    assert!(laptop.ok(&["item", "get", &renamed, &title, "--show"], "").contains("canary"));
    let secrets = [desk.code("Secret Key"), desk.code("Recovery key"), PASSWORD.to_owned()];
    let of_link = link["link"].as_str().unwrap().rsplit_once('#').unwrap().1.to_owned();
    let hunt = Hunt::of(nest.0.iter().cloned().chain(secrets).chain([of_link]));
    let traffic = proxy.traffic();
    assert!(
        traffic.len() > 100_000 && !String::from_utf8_lossy(&traffic).contains("content-encoding"),
        "readable as it is"
    );
    hunt.expect_none("traffic", &traffic);
    hunt.expect_none("box", &the_box.everything());
    // What a device keeps reads no more than what the box has; the Secret Key and what was made for this test lie beside it.
    let canaries = Hunt::of(nest.0);
    for device in [&desk, &laptop, &henry] {
        canaries.expect_none("device", &device.disk());
    }
}
