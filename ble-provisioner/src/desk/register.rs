//! The requests on `user_token`: how the box is reached from outside. The daemon keeps them, and carries them out.

use coffer_api::{OwnTunnel, RegisterRequest, SetupError, StartRegistration};
use hyper::Method;
use serde_json::{Value, json};

use super::{Desk, Outcome};
use crate::{daemon::SOON, errors::SetupErrorFrom};

impl Desk {
    /// Hands a registration to the daemon. It is on disk there when this returns.
    pub(crate) async fn register(&self, request: RegisterRequest) -> Result<Value, SetupError> {
        self.hand_over(request).await.map_err(|SetupErrorFrom(error)| error)
    }

    async fn hand_over(&self, request: RegisterRequest) -> Outcome {
        let nothing =
            StartRegistration { registrar: None, ticket: None, user_token: None, own_tunnel: None, local_only: None };
        let request = match request {
            RegisterRequest::Register { registrar, ticket, user_token } => {
                StartRegistration { registrar: Some(registrar), ticket, user_token, ..nothing }
            }
            RegisterRequest::OwnTunnel { tunnel_token, hostname } => {
                StartRegistration { own_tunnel: Some(OwnTunnel { tunnel_token, hostname }), ..nothing }
            }
            RegisterRequest::LocalOnly {} => StartRegistration { local_only: Some(true), ..nothing },
        };
        let _: Value = self.daemon.send(Method::POST, "/api/v1/device/registration", &request, SOON).await?;
        Ok(json!({}))
    }
}
