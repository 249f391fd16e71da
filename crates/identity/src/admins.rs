//! Who administers the gateway.

use attache_core::{Access, Principal, Reach, principal::AuthenticatedBy};

/// Decided at every request, by what is known of the person now; no token says it.
#[derive(Debug)]
pub(crate) struct Admins(pub(crate) Access);

impl Admins {
    /// A person in their browser, or with an access token of their issuer for the whole gateway.
    /// What they gave a program of theirs administers nothing, whatever it opens: who made it was
    /// not asked about that.
    pub(crate) fn include(&self, who: &Principal) -> bool {
        let is_themselves = match who.authenticated_by {
            AuthenticatedBy::Session(_) => true,
            AuthenticatedBy::AccessToken(_) => who.reach == Reach::everything(),
            AuthenticatedBy::Client(_) | AuthenticatedBy::PersonalToken(_) => false,
        };
        is_themselves && self.0.permits(who)
    }
}

#[cfg(test)]
mod tests {
    use attache_core::{
        ConnectionName, GrantId, IssuerId, Timestamp, TokenId, UserId, principal::SessionDigest,
    };

    use super::*;

    #[test]
    fn an_administrator_is_who_is_listed_and_comes_themselves() {
        let session = || AuthenticatedBy::Session(SessionDigest([0; 32]));
        let token = || AuthenticatedBy::AccessToken(None);
        let personal = || AuthenticatedBy::PersonalToken(TokenId::new("t"));
        let client = || AuthenticatedBy::Client(GrantId::new("g"));
        let whole = Reach::everything;
        let notes = || Reach::only(["notes".parse::<ConnectionName>().unwrap()]);
        let ops = Some("Ops@example.com");
        for (groups, email, by, reach, expected) in [
            (&["platform"][..], None, session(), whole(), true),
            (&["platform"], None, token(), whole(), true),
            (&[], ops, session(), whole(), true),
            (&["platforms"], Some("ada@example.com"), session(), whole(), false),
            (&[], None, session(), whole(), false),
            (&["platform"], ops, token(), whole().reading(), false),
            (&["platform"], ops, token(), notes(), false),
            (&["platform"], ops, token(), Reach::api(), false),
            (&["platform"], ops, personal(), whole(), false),
            (&["platform"], ops, client(), whole(), false),
        ] {
            let who = Principal {
                user: UserId::new("u"),
                issuer: IssuerId::new("https://idp.example.com"),
                subject: "s".to_owned(),
                email: email.map(str::to_owned),
                name: None,
                groups: groups.iter().map(ToString::to_string).collect(),
                authenticated_by: by,
                reach,
                expires_at: Timestamp(0),
            };
            let emails = vec!["ops@example.com".to_owned()];
            let listed = Access::Only { groups: vec!["platform".to_owned()], emails };
            assert_eq!(Admins(listed).include(&who), expected, "{who:?}");
            assert!(!Admins(Access::nobody()).include(&who));
        }
    }
}
