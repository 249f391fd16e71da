//! `/ui/programs`: the clients that a person let in, and out again.

use attache_core::{GrantId, Principal, RequestId, problem::Kind, store::StoreError};
use attache_identity::authorization_server::LetIn;
use axum::{
    extract::{Path, State},
    response::{IntoResponse as _, Redirect, Response},
};
use http::request::Parts;

use crate::{
    Web,
    caller::Visitor,
    context::Context,
    pages::ProgramsPage,
    problem::{refuse, store_failed},
};

pub(crate) async fn list(
    State(web): State<Web>,
    Visitor { who, .. }: Visitor,
    parts: Parts,
) -> Response {
    match web.let_in_by(&who).await {
        Ok(programs) => {
            ProgramsPage::new(web.greeted(&who), programs, web.clock.now()).into_response()
        }
        Err(error) => store_failed(&parts, &error),
    }
}

pub(crate) async fn end(
    State(web): State<Web>,
    Visitor { who, .. }: Visitor,
    Path(id): Path<String>,
    parts: Parts,
) -> Response {
    match web.let_out(&who, &GrantId::new(id), Context::request_id(&parts)).await {
        Ok(true) => Redirect::to("/ui/programs").into_response(),
        Ok(false) => refuse(&parts, Kind::NotFound),
        Err(error) => store_failed(&parts, &error),
    }
}

impl Web {
    /// Nobody, where clients are not served.
    pub(crate) async fn let_in_by(&self, who: &Principal) -> Result<Vec<LetIn>, StoreError> {
        match self.identity.authorization_server() {
            Some(server) => server.let_in_by(who).await,
            None => Ok(Vec::new()),
        }
    }

    /// Ends a grant of theirs, and what is open by it. Whether there was such a one.
    pub(crate) async fn let_out(
        &self,
        who: &Principal,
        grant: &GrantId,
        request: Option<RequestId>,
    ) -> Result<bool, StoreError> {
        let Some(server) = self.identity.authorization_server() else { return Ok(false) };
        let was_there = server.let_out(who, grant, request).await;
        self.connections.look_again(&who.user);
        was_there
    }
}
