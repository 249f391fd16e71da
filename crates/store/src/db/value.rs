//! What is bound to `$1`..`$N`: a database needs the type of a `NULL` too.

use attache_core::{
    IssuerId, ServiceKeyName, Timestamp, UpstreamName, UserId,
    audit::trail::{Seal, WriterId},
    store::{KeyId, Version},
};

#[derive(Clone, Copy)]
pub(crate) enum Value<'a> {
    Text(Option<&'a str>),
    Bytes(Option<&'a [u8]>),
    Int(Option<i64>),
}

/// `values![user, slot, now]`: each converted by [`From`].
macro_rules! values {
    ($($value:expr),* $(,)?) => { &[$($crate::db::Value::from($value)),*] };
}
pub(crate) use values;

macro_rules! from {
    ($($type:ty => |$value:ident| $into:expr;)+) => {
        $(impl<'a> From<$type> for Value<'a> {
            fn from($value: $type) -> Self {
                $into
            }
        })+
    };
}

from! {
    &'a str => |text| Self::Text(Some(text));
    &'a String => |text| Self::Text(Some(text));
    Option<&'a str> => |text| Self::Text(text);
    &'a UserId => |user| Self::Text(Some(user.as_str()));
    &'a IssuerId => |issuer| Self::Text(Some(issuer.as_str()));
    &'a UpstreamName => |upstream| Self::Text(Some(upstream.as_str()));
    &'a ServiceKeyName => |name| Self::Text(Some(name.as_str()));
    &'a KeyId => |key| Self::Text(Some(&key.0));
    &'a [u8] => |bytes| Self::Bytes(Some(bytes));
    &'a Vec<u8> => |bytes| Self::Bytes(Some(bytes));
    &'a [u8; 32] => |digest| Self::Bytes(Some(digest));
    &'a [u8; 16] => |id| Self::Bytes(Some(id));
    &'a WriterId => |writer| Self::Bytes(Some(&writer.0));
    &'a Seal => |seal| Self::Bytes(Some(&seal.0));
    Option<&'a [u8]> => |bytes| Self::Bytes(bytes);
    i64 => |int| Self::Int(Some(int));
    Option<i64> => |int| Self::Int(int);
    u32 => |count| Self::Int(Some(i64::from(count)));
    Version => |version| Self::Int(Some(version.0));
    Timestamp => |time| Self::Int(Some(time.0));
    Option<Timestamp> => |time| Self::Int(time.map(|time| time.0));
}
