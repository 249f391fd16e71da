//! A template's words, as the dialect has them.

use attache_core::{
    audit::Reason,
    dialect::{BasicForm, BodyFormat, ExpiresUnit, Pkce, ResourceForm, RevocationStyle, Rotation},
};

use super::schema;

/// Word for word.
macro_rules! same {
    ($($shape:ident => $dialect:ident { $($word:ident),+ })+) => {
        $(impl From<schema::$shape> for $dialect {
            fn from(word: schema::$shape) -> Self {
                match word { $(schema::$shape::$word => Self::$word,)+ }
            }
        })+
    };
}

same! {
    Basic => BasicForm { IdAndSecret, SecretAlone }
    Body => BodyFormat { Form, Json }
    ExpiresUnit => ExpiresUnit { Seconds, Milliseconds }
    Pkce => Pkce { S256, Off }
    ResourceParameter => ResourceForm { Send, Omit, Scope }
    RevokeStyle => RevocationStyle { Rfc7009, NoHint, DeleteBasic, Bearer }
    Rotation => Rotation { Yes, No, Unknown }
    OauthError => Reason {
        AccessDenied,
        InvalidClient,
        InvalidGrant,
        InvalidRequest,
        InvalidScope,
        InvalidTarget,
        ServerError,
        TemporarilyUnavailable,
        UnauthorizedClient,
        UnsupportedGrantType
    }
}
