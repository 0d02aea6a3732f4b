//! Requests of somebody who is logged in: the access token goes along, and is exchanged when it is too old. A refresh token is
//! good for once, and a second use ends the session, so that only one process exchanges it at a time.

use std::{
    io::{self, Read},
    time::Duration,
};

use coffer_api::{NewSession, Page, ProblemCode, RefreshSession, SecretString};
use serde::{Serialize, de::DeserializeOwned};
use ureq::{
    Body,
    http::{Method, Response},
};
use uuid::Uuid;

use super::{
    device::Device,
    failure::Failure,
    home::Exclusive,
    remote::{Condition, Parcel, Remote, RemoteError},
    replica::Kind,
    rows::Tokens,
};

/// A token that ends so soon is not sent any more.
const MARGIN: Duration = Duration::from_secs(30);
/// A box that has more pages than this of anything is not one.
const MAX_PAGES: usize = 100;

/// An unlocked device that can talk to its box.
pub struct Line<'a> {
    /// The device.
    pub device: &'a Device,
    remote: Remote,
}

impl<'a> Line<'a> {
    /// To the box that the device is logged in at. Says nothing yet.
    pub fn new(device: &'a Device) -> Result<Self, Failure> {
        Ok(Self { device, remote: Remote::at(&device.profile.url)? })
    }

    /// Asks for something.
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.send::<(), T>(Method::GET, path, None)
    }

    /// All pages of a list.
    pub fn all<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>, Failure> {
        let (mut all, mut cursor) = (Vec::new(), String::new());
        for _ in 0..MAX_PAGES {
            let page: Page<T> = self.get(&format!("{path}{cursor}"))?;
            all.extend(page.items);
            let Some(next) = page.next_cursor else { return Ok(all) };
            cursor = format!("?cursor={next}");
        }
        Err(self.protocol("a list of it has no end"))
    }

    /// Sends a request.
    pub fn send<B: Serialize, T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&B>,
    ) -> Result<T, Failure> {
        self.send_if(method, path, None, body)?.ok_or_else(|| self.protocol("it compares with what was not asked for"))
    }

    /// Sends a request that replaces something; nothing comes back when somebody was faster.
    pub fn send_if<B: Serialize, T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        condition: Option<Condition>,
        body: Option<&B>,
    ) -> Result<Option<T>, Failure> {
        let token = self.token(None)?;
        let sent = match self.remote.send(method.clone(), path, Some(&token), condition, body) {
            Err(RemoteError::Refused(problem)) if problem.code == ProblemCode::Unauthenticated => {
                let token = self.token(Some(&token))?;
                self.remote.send(method, path, Some(&token), condition, body)
            }
            sent => sent,
        };
        match sent {
            Ok(reply) => Ok(Some(reply)),
            Err(RemoteError::Stale(_)) => Ok(None),
            Err(RemoteError::Refused(problem)) if problem.code == ProblemCode::PreconditionFailed => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Sends a body of that length while it is read. It is read once: ask the box for something first, so that the token is good.
    pub(super) fn upload<T: DeserializeOwned>(
        &self,
        path: &str,
        length: u64,
        body: &mut dyn Read,
    ) -> Result<T, Failure> {
        Ok(self.remote.upload(path, &self.token(None)?, length, body)?)
    }

    /// Asks for what is read while it comes.
    pub(super) fn download(&self, path: &str) -> Result<impl Read + use<>, Failure> {
        let parcel = Parcel { method: Method::GET, path, headers: &[], body: None };
        Ok(self.carry(&parcel)?.into_body().into_reader())
    }

    /// Sends or fetches bytes of a file.
    pub fn carry(&self, parcel: &Parcel<'_>) -> Result<Response<Body>, Failure> {
        let token = self.token(None)?;
        let carried = match self.remote.carry(&token, parcel) {
            Err(RemoteError::Refused(problem)) if problem.code == ProblemCode::Unauthenticated => {
                self.remote.carry(&self.token(Some(&token))?, parcel)
            }
            carried => carried,
        };
        Ok(carried?)
    }

    /// The connection ended before what was on it did.
    pub(crate) fn broken(&self, cause: &io::Error) -> Failure {
        Failure::Unreachable { url: self.remote.url().to_owned(), cause: cause.to_string() }
    }

    /// What answers is no box.
    pub(crate) fn protocol(&self, what: &'static str) -> Failure {
        Failure::Protocol { url: self.remote.url().to_owned(), what }
    }

    /// A token that the box takes; another one than the refused one.
    fn token(&self, refused: Option<&SecretString>) -> Result<SecretString, Failure> {
        let fits = |tokens: &Tokens| {
            let is_fresh = tokens.expires_at.duration_since((self.device.now)())
                > jiff::SignedDuration::try_from(MARGIN).unwrap_or_default();
            is_fresh && refused.is_none_or(|refused| refused.expose() != tokens.access.expose())
        };
        let tokens = self.tokens()?;
        if fits(&tokens) {
            return Ok(tokens.access);
        }
        let _alone = self.device.home.alone(Exclusive::Tokens)?;
        // Another process may have done it meanwhile.
        let tokens = self.tokens()?;
        if fits(&tokens) {
            return Ok(tokens.access);
        }
        let body = RefreshSession { refresh_token: tokens.refresh };
        let renewed: NewSession = self
            .remote
            .send(Method::POST, "/sessions/refresh", None, None, Some(&body))
            .map_err(|error| match error {
                RemoteError::Refused(problem) if problem.status == 401 => Failure::SessionEnded,
                other => other.into(),
            })?;
        let access = renewed.access_token.clone();
        self.device.keep_session(renewed)?;
        Ok(access)
    }

    fn tokens(&self) -> Result<Tokens, Failure> {
        let tokens = self.device.replica.rows().get(Kind::Tokens, Uuid::nil(), Uuid::nil())?;
        tokens.ok_or(Failure::SessionEnded)
    }
}
