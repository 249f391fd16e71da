//! Identity as its callers use it, against an identity provider that a test can bend, on the real
//! store.
#![cfg(test)] // for the lints: `unwrap` is fine in the helpers, too

mod bearer;
mod idp;
mod session;
mod sign_in;
mod world;
