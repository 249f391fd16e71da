//! `WWW-Authenticate`: theirs, read (RFC 9110 section 11.6.1) and
//! understood (RFC 9728 section 5.1), and ours, written (RFC 6750
//! section 3, RFC 9728 section 5.1).

mod demand;
mod parse;
mod write;

pub use self::{
    demand::Demand,
    parse::Challenge,
    write::{BearerChallenge, BearerError},
};
