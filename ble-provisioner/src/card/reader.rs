//! From the text of `coffer.toml` to what it asks for, or to all that is wrong with it. Pure: no file, no box.
//!
//! What is told of a mistake never repeats a value: it may be a password.

use std::{fmt::Display, ops::Range};

use coffer_api::{
    RegisterRequest, SecretString, Ssid, WifiRequest,
    device_values::{Credential, DeviceName, RegistrarUrl, ServerUrl, TunnelToken},
};
use coffer_ble::network::is_wpa2_password;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};
use zeroize::Zeroizing;

use super::Card;

/// What a shown name has at most: a text without quotation marks may end up as one.
const MAX_SHOWN: usize = 40;

/// Something in the file that is not as it has to be.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mistake {
    /// Counted from 1.
    pub(super) line: usize,
    /// What is wrong, and what to write instead.
    pub(super) what: String,
}

/// Reads a file as a whole: what it asks for, or every mistake in it.
pub(super) fn read(text: &str) -> Result<Card, Vec<Mistake>> {
    let (table, broken) = DeTable::parse_recoverable(text);
    let mut reader = Reader { text, mistakes: Vec::new() };
    if !broken.is_empty() {
        // What else there is in it, nobody can tell for sure.
        for error in broken {
            let at = error.span().unwrap_or_default();
            reader.mistake(&at, "this cannot be read. Write it as `name = \"value\"`, with the quotation marks");
        }
        reader.mistakes.dedup();
        return Err(reader.mistakes);
    }
    let card = reader.card(table);
    if reader.mistakes.is_empty() { Ok(card) } else { Err(reader.in_order()) }
}

struct Reader<'t> {
    text: &'t str,
    mistakes: Vec<Mistake>,
}

/// What nobody has looked at yet of the settings below one title, or above the first.
struct Section<'t> {
    title: String,
    at: Range<usize>,
    rest: DeTable<'t>,
}

impl<'t> Reader<'t> {
    fn card(&mut self, table: Spanned<DeTable<'t>>) -> Card {
        let mut top = Section { title: "in this file".to_owned(), at: 0..0, rest: table.into_inner() };
        let name = self.optional(&mut top, "name", |name| DeviceName::parse(name).map(|name| name.as_str().to_owned()));
        let country = self.optional(&mut top, "country", country);
        self.refuse_logins(&mut top);
        let wifi = self.section(&mut top, "wifi");
        let registrar = self.section(&mut top, "registrar");
        let tunnel = self.section(&mut top, "tunnel");
        self.nothing_else(&top, "`name`, `country`, `[wifi]`, `[registrar]` and `[tunnel]`");

        if let (Some(section), None) = (&wifi, &country) {
            let what = "the radio is not used before the box knows whose rules it has to follow. Write `country = \"DE\"`, \
                        with the code of your country, above all titles";
            self.mistake(&section.at, what);
        }
        if let (Some(_), Some(section)) = (&registrar, &tunnel) {
            self.mistake(
                &section.at,
                "a registrar makes the tunnel itself. Keep `[registrar]` or `[tunnel]`, not both",
            );
        }
        let wifi = wifi.and_then(|section| self.wifi(section));
        let registrar = registrar.and_then(|section| self.registrar(section));
        let tunnel = tunnel.and_then(|section| self.tunnel(section));
        Card { name, country, wifi, reach: registrar.or(tunnel) }
    }

    fn wifi(&mut self, mut section: Section<'t>) -> Option<WifiRequest> {
        let ssid = self.required(&mut section, "ssid", |ssid| {
            Ssid::new(ssid.as_bytes()).ok_or("the name of a network has 1 to 32 bytes")
        });
        let password = self.optional(&mut section, "password", |password| {
            let wrong = "a Wi-Fi password has 8 to 63 characters. Leave the line out when the network has none";
            is_wpa2_password(password).map_err(|_| wrong).map(|()| secret(password))
        });
        let hidden = self.switch(&mut section, "hidden");
        self.nothing_else(&section, "`ssid`, `password` and `hidden`");
        Some(WifiRequest::Connect {
            ssid: ssid?,
            security: None,
            password,
            hidden,
            enterprise: None,
            // Nobody is there to be told that the router has not reached its provider yet.
            local_only: true,
        })
    }

    fn registrar(&mut self, mut section: Section<'t>) -> Option<RegisterRequest> {
        let registrar =
            self.required(&mut section, "url", |url| RegistrarUrl::parse(url).map(|url| url.as_str().to_owned()));
        let ticket = self.required(&mut section, "ticket", |ticket| Credential::check(ticket).map(SecretString::new));
        self.nothing_else(&section, "`url` and `ticket`");
        Some(RegisterRequest::Register { registrar: registrar?, ticket: Some(ticket?), user_token: None })
    }

    fn tunnel(&mut self, mut section: Section<'t>) -> Option<RegisterRequest> {
        let tunnel_token =
            self.required(&mut section, "token", |token| TunnelToken::parse(token).map(|_| secret(token)));
        let hostname =
            self.required(&mut section, "hostname", |name| ServerUrl::of_hostname(name).map(|_| name.to_owned()));
        self.nothing_else(&section, "`token` and `hostname`");
        Some(RegisterRequest::OwnTunnel { tunnel_token: tunnel_token?, hostname: hostname? })
    }

    /// People know it from other images.
    fn refuse_logins(&mut self, top: &mut Section<'t>) {
        for name in ["ssh", "ssh_key", "ssh_keys", "ssh_authorized_keys"] {
            if let Some((key, _)) = top.rest.remove_entry(name) {
                let what = "nobody logs in to this box: a released image has no shell for anybody, whatever the key. Remove \
                            this; all that there is to do works with a phone, a browser or `coffer`";
                self.mistake(&key.span(), what);
            }
        }
    }

    fn required<T, E: Display>(
        &mut self,
        section: &mut Section<'t>,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        if !section.rest.contains_key(name) {
            self.mistake(&section.at, &format!("`{name}` is missing {}", section.title));
        }
        self.optional(section, name, parse)
    }

    fn optional<T, E: Display>(
        &mut self,
        section: &mut Section<'t>,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let value = section.rest.remove(name)?;
        let at = value.span();
        let DeValue::String(text) = value.into_inner() else {
            self.mistake(&at, &format!("`{name}` is a text. Write it in quotation marks"));
            return None;
        };
        // A text that is spelled with escapes is a copy, and may be a secret.
        let text = Zeroizing::new(text.into_owned());
        parse(&text).map_err(|why| self.mistake(&at, &format!("`{name}`: {why}"))).ok()
    }

    fn switch(&mut self, section: &mut Section<'t>, name: &str) -> bool {
        let Some(value) = section.rest.remove(name) else { return false };
        let at = value.span();
        if let DeValue::Boolean(value) = value.into_inner() {
            return value;
        }
        self.mistake(&at, &format!("`{name}` is true or false, without quotation marks"));
        false
    }

    fn section(&mut self, top: &mut Section<'t>, name: &str) -> Option<Section<'t>> {
        let (key, value) = top.rest.remove_entry(name)?;
        let at = key.span();
        if let DeValue::Table(rest) = value.into_inner() {
            return Some(Section { title: format!("below [{name}]"), at, rest });
        }
        self.mistake(
            &at,
            &format!("`{name}` has settings of its own. Write `[{name}]`, and each of them on a line below"),
        );
        None
    }

    fn nothing_else(&mut self, section: &Section<'t>, known: &str) {
        for key in section.rest.keys() {
            let name: String = key.get_ref().chars().filter(|letter| !letter.is_control()).take(MAX_SHOWN).collect();
            self.mistake(&key.span(), &format!("there is no `{name}` {}. There are {known}", section.title));
        }
    }

    fn mistake(&mut self, at: &Range<usize>, what: &str) {
        let before = self.text.get(..at.start).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        self.mistakes.push(Mistake { line, what: what.to_owned() });
    }

    fn in_order(mut self) -> Vec<Mistake> {
        self.mistakes.sort_by_key(|mistake| mistake.line);
        self.mistakes
    }
}

fn secret(text: &str) -> SecretString {
    SecretString::new(text.to_owned())
}

fn country(code: &str) -> Result<String, &'static str> {
    if code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        Ok(code.to_ascii_uppercase())
    } else {
        Err("two letters, as in \"DE\" or \"US\"")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const TOKEN: &str =
        "eyJhIjoiMWYyZSIsInMiOiJjMlZqY21WMCIsInQiOiI2ZmY0MmFlMi03NjVkLTRhZGYtODExMi0zMWM1NWMxNTUxZWYifQ==";

    fn mistakes(text: &str) -> Vec<(usize, String)> {
        let told = read(text).err().unwrap_or_default();
        told.into_iter().map(|mistake| (mistake.line, mistake.what)).collect()
    }

    #[test]
    fn a_whole_file_becomes_what_a_phone_would_ask() {
        let card = read(
            "name = \"Attic\"\ncountry = \"de\"\n[wifi]\nssid = \"Caf\u{e9}\"\npassword = 'a\\b \"c\" d'\nhidden = true\n\
             [registrar]\nurl = \"https://r.example/\"\nticket = \"t-1\"\n",
        );
        assert_eq!(
            json!(card.unwrap()),
            json!({
                "name": "attic", "country": "DE",
                "wifi": {"op": "connect", "ssid": "Q2Fmw6k", "password": "a\\b \"c\" d", "hidden": true, "local_only": true},
                "reach": {"op": "register", "registrar": "https://r.example", "ticket": "t-1"},
            })
        );
    }

    #[test]
    fn every_part_may_be_left_out() {
        for (text, card) in [
            ("", json!({})),
            ("# nothing yet\r\n", json!({})),
            ("\u{feff}name = \"a\"\r\n", json!({"name": "a"})),
            (
                "country = \"CH\"\n[wifi]\nssid = \"Open\"",
                json!({"country": "CH", "wifi": {"op": "connect", "ssid": "T3Blbg", "hidden": false, "local_only": true}}),
            ),
            (
                &format!("[tunnel]\ntoken = \"{TOKEN}\"\nhostname = \"a.example.org\""),
                json!({"reach": {"op": "own_tunnel", "tunnel_token": TOKEN, "hostname": "a.example.org"}}),
            ),
        ] {
            assert_eq!(json!(read(text).unwrap()), card, "{text}");
        }
    }

    #[test]
    fn every_mistake_is_named_with_its_line() {
        let told = mistakes(
            "name = 5\ncountry = \"Germany\"\nnmae = \"a\"\n[wifi]\npassword = \"short\"\nhidden = \"yes\"\nchannel = 1\n\
             [registrar]\nurl = \"http://r.example\"\n[tunnel]\ntoken = \"x\"\nhostname = \"local\"\n[[users]]\n",
        );
        let lines: Vec<usize> = told.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [1, 2, 3, 4, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13], "{told:#?}");
    }

    #[test]
    fn what_is_wrong_with_one_line() {
        for (text, line, expected) in [
            ("name = \"-\"", 1, "dashes"),
            ("\n\nname = \"a b\"", 3, "`name`"),
            ("wifi = \"Home\"", 1, "Write `[wifi]`"),
            ("[wifi]\nssid = \"Home\"", 1, "country"),
            ("country = \"CH\"\n[wifi]\npassword = \"12345678\"", 2, "`ssid` is missing below [wifi]"),
            ("country = \"CH\"\n[wifi]\nssid = \"123456789012345678901234567890123\"", 3, "32 bytes"),
            ("[registrar]\nurl = \"https://r.example\"", 1, "`ticket` is missing"),
            ("ssh_authorized_keys = [\"ssh-ed25519 AAAA\"]", 1, "nobody logs in"),
            ("name = \"a\"\nname = \"b\"", 2, "cannot be read"),
            ("name = attic", 1, "quotation marks"),
        ] {
            let told = mistakes(text);
            assert!(matches!(&told[..], [(at, what)] if *at == line && what.contains(expected)), "{text}: {told:?}");
        }
    }

    #[test]
    fn no_mistake_repeats_a_value() {
        for value in
            ["\"hunter2\"", "hunter2", "'hunter2", "\"hunter2", "{ hunter2 }", "[\"hunter2\"]", "\"hunter2\" x"]
        {
            for text in [
                format!("country = \"CH\"\n[wifi]\nssid = \"Home\"\npassword = {value}"),
                format!("[registrar]\nurl = \"https://u:hunter2@r.example\"\nticket = {value}\n"),
                format!("[tunnel]\nhostname = \"a.example\"\ntoken = {value}\n"),
            ] {
                let told = format!("{:?}", mistakes(&text));
                assert!(told != "[]" && !told.contains("hunter2"), "{text}: {told}");
            }
        }
    }
}
