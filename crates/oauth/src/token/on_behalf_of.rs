//! Microsoft Entra's On-Behalf-Of: a person's token for us, for one of another API.

use attache_core::{Secret, audit::Reason, outbound::Outbound};

use super::{ExchangedToken, TokenEndpoint, TokenResponse};
use crate::{
    endpoint::{LIMITS, judge},
    error::TokenError,
    json::Json,
};

/// RFC 7523 section 2.1.
pub(super) const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// What is asked for, of the second version of the endpoint: it knows scopes and no `resource`.
#[derive(Clone, Copy, Debug)]
pub struct OnBehalfOfGrant<'a> {
    /// An access token of this person whose audience is our application (OBO-1).
    pub assertion: &'a Secret,
    /// At least one; of one API, or its `/.default`.
    pub scopes: &'a [String],
}

impl TokenEndpoint {
    /// # Errors
    /// [`TokenError::Refused`] with [`Reason::InvalidGrant`] is about the assertion; with
    /// [`Reason::InteractionRequired`], [`Reason::ConsentRequired`] or [`Reason::AccessDenied`]
    /// about its person.
    pub async fn on_behalf_of(
        &self,
        outbound: &dyn Outbound,
        grant: OnBehalfOfGrant<'_>,
    ) -> Result<ExchangedToken, TokenError> {
        let scopes = grant.scopes.join(" ");
        let form = [
            ("grant_type", GRANT_TYPE),
            ("assertion", grant.assertion.expose()),
            ("scope", scopes.as_str()),
            ("requested_token_use", "on_behalf_of"),
        ];
        let request = self.client.post(&self.url, &form, &self.dialect);
        let response = outbound.fetch(request.map_err(|_| TokenError::Blocked)?, LIMITS).await?;
        let said = Json::parse(response.body()).and_then(|json| of_entra(&json));
        let body = judge(response, &self.dialect).map_err(|error| match (error, said) {
            (TokenError::Refused(_), Some(reason)) => TokenError::Refused(reason),
            (error, _) => error,
        })?;
        let is_said = Json::parse(&body).is_some_and(|json| json.get("token_type").is_some());
        if !is_said {
            return Err(TokenError::Malformed("a token that is not a bearer token"));
        }
        let token = TokenResponse::of_refresh(&body, &self.dialect)?;
        Ok(ExchangedToken { access_token: token.access_token, expires_in: token.expires_in })
    }
}

/// What Entra says beyond RFC 6749, by its numbers and words and never by its text (OBO-4). `None`:
/// what `error` says is all.
fn of_entra(json: &Json<'_>) -> Option<Reason> {
    let word = |name| json.get(name).and_then(Json::text);
    let codes = match json.get("error_codes") {
        Some(Json::List(codes)) => codes.as_slice(),
        _ => &[],
    };
    codes
        .iter()
        .find_map(|code| of_code(&code.word()?))
        .or_else(|| of_suberror(word("suberror")?))
        .or_else(|| of_error(word("error")?))
}

fn of_code(code: &str) -> Option<Reason> {
    Some(match code {
        // The assertion is not for our application, or signed with a key of its own.
        "50013" | "500131" => Reason::Misconfigured,
        // The application is not in this directory; its secret or certificate is wrong or expired.
        "700016" | "7000215" | "7000222" | "700027" | "700024" => Reason::InvalidClient,
        "65001" => Reason::ConsentRequired,
        // Not assigned to the application, a guest of nobody, or kept out by a policy.
        "50105" | "50020" | "90072" | "53000" | "53001" | "53002" | "53003" => Reason::AccessDenied,
        "50072" | "50074" | "50076" | "50079" | "50158" => Reason::InteractionRequired,
        "500011" | "650057" => Reason::InvalidTarget,
        _ => return None,
    })
}

fn of_suberror(suberror: &str) -> Option<Reason> {
    Some(match suberror {
        "basic_action" | "additional_action" => Reason::InteractionRequired,
        "consent_required" => Reason::ConsentRequired,
        // Only to be read, and nothing that anybody could do there.
        "message_only" => Reason::AccessDenied,
        "user_password_expired" | "bad_token" | "token_expired" => Reason::InvalidGrant,
        _ => return None,
    })
}

fn of_error(error: &str) -> Option<Reason> {
    Some(match error {
        "interaction_required" | "login_required" => Reason::InteractionRequired,
        "consent_required" => Reason::ConsentRequired,
        "invalid_resource" => Reason::InvalidTarget,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use attache_core::Dialect;
    use url::Url;

    use super::*;
    use crate::{
        client_auth::{Client, ClientAuthentication},
        scripted::Scripted,
    };

    async fn exchanged(outbound: &Scripted) -> Result<ExchangedToken, TokenError> {
        let endpoint = TokenEndpoint {
            url: Url::parse("https://login.example.com/t/oauth2/v2.0/token").unwrap(),
            client: Client {
                id: "app".to_owned(),
                authentication: ClientAuthentication::Post(Secret::new("s")),
            },
            dialect: Arc::new(Dialect::default()),
        };
        let grant = OnBehalfOfGrant {
            assertion: &Secret::new("MARK.assertion"),
            scopes: &["https://graph.example.com/.default".to_owned()],
        };
        endpoint.on_behalf_of(outbound, grant).await
    }

    #[tokio::test]
    async fn it_asks_for_exactly_this() {
        let answer = r#"{"token_type":"Bearer","scope":"x","expires_in":3269,"ext_expires_in":0,
            "access_token":"MARK","refresh_token":"MARK2"}"#;
        let outbound = Scripted::always(200, &[], answer);
        let token = exchanged(&outbound).await.unwrap();
        assert_eq!(token.access_token.expose(), "MARK");
        assert_eq!(token.expires_in, Some(Duration::from_secs(3269)));
        let asked = outbound.asked.lock().unwrap();
        let form: Vec<_> = url::form_urlencoded::parse(asked[0].body()).into_owned().collect();
        let form: Vec<_> = form.iter().map(|(name, value)| (&**name, &**value)).collect();
        let expected = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
            ("assertion", "MARK.assertion"),
            ("scope", "https://graph.example.com/.default"),
            ("requested_token_use", "on_behalf_of"),
            ("client_id", "app"),
            ("client_secret", "s"),
        ];
        assert_eq!(form, expected);
    }

    #[tokio::test]
    async fn only_a_bearer_token_is_taken() {
        for body in [
            r#"{"access_token":"MARK"}"#,
            r#"{"access_token":"MARK","token_type":"N_A"}"#,
            r#"{"access_token":"MARK","token_type":"pop"}"#,
        ] {
            let error = exchanged(&Scripted::always(200, &[], body)).await.unwrap_err();
            assert_eq!(
                error,
                TokenError::Malformed("a token that is not a bearer token"),
                "{body}"
            );
        }
    }

    /// OBO-3, OBO-4: whose move it is; the text is there and nobody reads it.
    #[tokio::test]
    async fn a_refusal_is_read_by_its_numbers_and_words() {
        for (error, codes, suberror, expected) in [
            ("interaction_required", "50079", "basic_action", Reason::InteractionRequired),
            ("interaction_required", "0", "", Reason::InteractionRequired),
            ("invalid_grant", "50076", "", Reason::InteractionRequired),
            ("invalid_grant", "0", "additional_action", Reason::InteractionRequired),
            ("invalid_grant", "65001", "consent_required", Reason::ConsentRequired),
            ("consent_required", "0", "", Reason::ConsentRequired),
            ("interaction_required", "53003", "message_only", Reason::AccessDenied),
            ("invalid_grant", "0", "message_only", Reason::AccessDenied),
            ("invalid_grant", "50105", "", Reason::AccessDenied),
            ("invalid_grant", "0", "token_expired", Reason::InvalidGrant),
            ("invalid_grant", "500133", "", Reason::InvalidGrant),
            ("invalid_grant", "50013", "bad_token", Reason::Misconfigured),
            ("invalid_grant", "500131", "", Reason::Misconfigured),
            ("invalid_client", "7000222", "", Reason::InvalidClient),
            ("unauthorized_client", "700016", "", Reason::InvalidClient),
            ("invalid_resource", "500011", "", Reason::InvalidTarget),
            ("invalid_scope", "70011", "", Reason::InvalidScope),
            ("MARK", "0", "MARK", Reason::Other),
        ] {
            let body = format!(
                r#"{{"error":"{error}","error_description":"AADSTS50079 MARK","error_codes":[{codes}],
                    "suberror":"{suberror}","claims":"{{}}"}}"#
            );
            let told = exchanged(&Scripted::always(400, &[], &body)).await.unwrap_err();
            assert_eq!(told, TokenError::Refused(expected), "{body}");
        }
        let body = r#"{"error":"interaction_required","error_codes":[50079]}"#;
        let away = exchanged(&Scripted::always(503, &[], body)).await.unwrap_err();
        assert_eq!(
            away,
            TokenError::Unavailable { retry_after: None },
            "a proxy may have written it"
        );
    }
}
