//! `/ui/tokens`: a person's own access tokens, made here and nowhere else.

use attache_core::{Reach, TokenId, UpstreamName, problem::Kind};
use attache_identity::personal::{NewToken, TokenError, TokenLife, TokenName};
use axum::{
    body::Bytes,
    extract::{Path, RawQuery, State},
    response::{IntoResponse as _, Redirect, Response},
};
use http::{StatusCode, request::Parts};
use url::form_urlencoded;

use crate::{
    Web,
    caller::Visitor,
    pages::tokens::{Draft, Made, TokensPage},
    problem::{refuse, store_failed},
};

/// Bytes of the form: a name, and every server there is.
pub(crate) const FORM_LIMIT: usize = 64 * 1024;

/// The query fills in the form, as `attache token create` does.
pub(crate) async fn list(
    State(web): State<Web>,
    visitor: Visitor,
    RawQuery(query): RawQuery,
    parts: Parts,
) -> Response {
    let draft = Draft::parse(query.unwrap_or_default().as_bytes());
    page(&web, &visitor, &parts, draft, None).await
}

/// The answer has the token: there is no other moment to show it, so no redirect leads away.
pub(crate) async fn create(
    State(web): State<Web>,
    visitor: Visitor,
    parts: Parts,
    form: Bytes,
) -> Response {
    let draft = Draft::parse(&form);
    let asked = match asked(&draft) {
        Ok(asked) => asked,
        Err(wrong) => {
            let page = page(&web, &visitor, &parts, Draft { wrong: Some(wrong), ..draft }, None);
            return (StatusCode::UNPROCESSABLE_ENTITY, page.await).into_response();
        }
    };
    match web.identity.create_token(&visitor.who, asked).await {
        Ok((value, token)) => {
            let made = Made { name: token.name, value };
            page(&web, &visitor, &parts, Draft::default(), Some(made)).await
        }
        Err(TokenError::TooMany) => {
            let wrong = Some("You have as many tokens as anybody may: revoke one first.");
            let page = page(&web, &visitor, &parts, Draft { wrong, ..draft }, None);
            (StatusCode::UNPROCESSABLE_ENTITY, page.await).into_response()
        }
        Err(TokenError::Store(error)) => store_failed(&parts, &error),
    }
}

pub(crate) async fn revoke(
    State(web): State<Web>,
    Visitor { who, .. }: Visitor,
    Path(id): Path<String>,
    parts: Parts,
) -> Response {
    let revoked = web.identity.revoke_token(&who, &TokenId::new(id)).await;
    web.connections.look_again(&who.user);
    match revoked {
        Ok(true) => Redirect::to("/ui/tokens").into_response(),
        Ok(false) => refuse(&parts, Kind::NotFound),
        Err(error) => store_failed(&parts, &error),
    }
}

async fn page(
    web: &Web,
    Visitor { who, .. }: &Visitor,
    parts: &Parts,
    draft: Draft,
    made: Option<Made>,
) -> Response {
    let tokens = match web.identity.tokens(who).await {
        Ok(tokens) => tokens,
        Err(error) => return store_failed(parts, &error),
    };
    let servers = web.connections.servers(who);
    let person = web.greeted(who);
    TokensPage::new(person, &tokens, servers, draft, made, web.clock.now()).into_response()
}

/// What the form says, or what is missing in it.
fn asked(draft: &Draft) -> Result<NewToken, &'static str> {
    let name = TokenName::parse(&draft.name)
        .ok_or("Give it a name of at most 64 characters, so that you know it again.")?;
    let reach = if draft.everything {
        Reach::everything()
    } else if draft.servers.is_empty() {
        return Err("Choose at least one server, or everything.");
    } else {
        let servers = draft.servers.iter().map(|name| UpstreamName::parse(name));
        let servers = servers.collect::<Result<Vec<_>, _>>();
        Reach::only(servers.map_err(|_| "One of these is no server's name.")?)
    };
    let life = TokenLife::of_days(draft.days).ok_or("It can live for 1 to 365 days.")?;
    Ok(NewToken { name, reach: if draft.acts { reach } else { reach.reading() }, life })
}

impl Draft {
    /// Of a form or a query; what it does not say is as careful as can be.
    fn parse(text: &[u8]) -> Self {
        let mut draft = Self::default();
        for (name, value) in form_urlencoded::parse(text) {
            match &*name {
                "name" => draft.name = value.into_owned(),
                "server" => draft.servers.push(value.into_owned()),
                "reach" => draft.everything = value == "everything",
                "access" => draft.acts = value == "act",
                "days" => draft.days = value.parse().unwrap_or_default(),
                _ => {}
            }
        }
        draft
    }
}
