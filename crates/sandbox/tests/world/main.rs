//! The sandbox played by its own browser: if the counterpart is wrong, what it proves is worthless.
//!
//! The modules say `cfg(test)` because that is how clippy knows a test's helpers from other code.

#[cfg(test)]
mod browsing;
#[cfg(test)]
mod consent;
#[cfg(test)]
mod misbehaviour;
#[cfg(test)]
mod resources;
#[cfg(test)]
mod sign_in;
#[cfg(test)]
mod support;
