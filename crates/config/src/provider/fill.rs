//! Writes what a template knows where the operator wrote nothing.

use std::collections::BTreeMap;

use attache_core::{
    Dialect,
    dialect::{ResourceForm, is_host},
};
use url::form_urlencoded::byte_serialize;

use super::{NoTemplate, Provider, Template, Templates};
use crate::{
    diagnose::Place,
    schema::{AuthBroker, Mode},
    suggest::nearest,
};

/// `section` becomes what is in effect; the dialect is what no key of it says. `None` when there is
/// no such template, or something is wrong with it: that was reported.
pub(crate) fn fill(
    section: &mut AuthBroker,
    templates: &Templates,
    place: &Place<'_>,
) -> Option<Dialect> {
    let Some(name) = section.provider.clone() else {
        if !section.provider_params.is_empty() {
            let place = place.key("provider_params");
            place.wrong_key("provider_params has no use without provider", "remove it");
        }
        return Some(Dialect::default());
    };
    if section.mode.is_some_and(|mode| mode != Mode::OauthConnect) {
        place.key("provider").error(
            "a provider template is for mode \"oauth_connect\"",
            "remove provider, or write mode = \"oauth_connect\"",
        );
        return None;
    }
    let template = match templates.find(&name) {
        Ok(template) => template,
        Err(problem) => {
            report(&problem, &name, &place.key("provider"));
            return None;
        }
    };
    let parameters = parameters(section, &template, &place.key("provider_params"))?;
    match templates.read(&template, &parameters) {
        Ok(provider) => Some(write(provider, section, place)),
        Err(problem) => {
            report(&problem, &name, &place.key("provider"));
            None
        }
    }
}

fn report(problem: &NoTemplate, name: &str, place: &Place<'_>) {
    match problem {
        NoTemplate::Unknown => {
            let known = Templates::names();
            let help = nearest(name, &known).map_or_else(
                || format!("there are {}, and what is in provider_dir", known.join(", ")),
                |word| format!("did you mean \"{word}\"?"),
            );
            place.error(format!("there is no provider template {name:?}"), help);
        }
        NoTemplate::Unreadable(error) => place.error(error.to_string(), ""),
        NoTemplate::Wrong => {
            place.error(
                format!("the provider template {name:?} has problems"),
                "they are listed, too",
            );
        }
    }
}

/// What goes into the braces of the template's addresses.
fn parameters(
    section: &AuthBroker,
    template: &Template,
    place: &Place<'_>,
) -> Option<BTreeMap<String, String>> {
    let declared = &template.shape.params;
    let known: Vec<&str> = declared.keys().map(String::as_str).collect();
    let mut complete = true;
    for name in section.provider_params.keys().filter(|name| !declared.contains_key(*name)) {
        let help = match nearest(name, &known) {
            Some(word) => format!("did you mean `{word}`?"),
            None if known.is_empty() => "this provider has no parameters: remove it".to_owned(),
            None => format!("the parameters are {}", known.join(", ")),
        };
        place.key(name).wrong_key(format!("unknown parameter `{name}`"), help);
        complete = false;
    }
    let mut values = BTreeMap::new();
    for (name, parameter) in declared {
        let place = place.key(name);
        let help = parameter.description.clone().unwrap_or_default();
        match section.provider_params.get(name).or(parameter.default.as_ref()) {
            Some(value) if is_host(value) => {
                values.insert(name.clone(), value.clone());
            }
            Some(_) => {
                place.error("letters, digits, hyphens and dots only, as in a host's name", help);
                complete = false;
            }
            None => {
                place.missing(format!("this provider needs provider_params.{name}"), help);
                complete = false;
            }
        }
    }
    let client_id = section.client_id.as_deref().unwrap_or("client-id");
    values.insert("client_id".to_owned(), byte_serialize(client_id.as_bytes()).collect());
    complete.then_some(values)
}

/// The operator's own words stay.
fn write(mut provider: Provider, section: &mut AuthBroker, place: &Place<'_>) -> Dialect {
    if section.token_endpoint.as_ref().is_some_and(|own| *own != provider.token_endpoint) {
        // Another server: what is known of the provider's own must not be shown its tokens.
        provider.revocation_endpoint = None;
        provider.issuer = None;
        provider.dialect.refresh_endpoint = None;
        provider.dialect.account = None;
    }
    section.authorization_endpoint.get_or_insert(provider.authorization_endpoint);
    section.token_endpoint.get_or_insert(provider.token_endpoint);
    section.revocation_endpoint =
        section.revocation_endpoint.take().or(provider.revocation_endpoint);
    section.issuer = section.issuer.take().or(provider.issuer);
    section.client_auth = section.client_auth.or(provider.client_auth);
    section.header = section.header.take().or(provider.header);
    section.header_format = section.header_format.take().or(provider.header_format);
    for scope in provider.scopes {
        if !section.scopes.contains(&scope) {
            section.scopes.push(scope);
        }
    }
    if section.resource.is_some() && provider.dialect.resource == ResourceForm::Omit {
        place
            .key("resource")
            .warning("this provider takes no resource: it is not sent", "remove it");
    }
    provider.dialect
}
