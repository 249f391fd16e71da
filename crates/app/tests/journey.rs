//! Whole stories, played by the real binary between peers that nobody here wrote.
//!
//! Each test has a gateway, a store and peers of its own, and ends with a search for secrets in
//! everything its gateway wrote. The peers come from `cargo xtask peers`.

#[cfg(test)]
mod support {
    pub(crate) mod brokered;
    pub(crate) mod cable;
    pub(crate) mod clients;
    pub(crate) mod edge;
    #[expect(dead_code, reason = "replicas are made in a target of their own")]
    pub(crate) mod gateway;
    pub(crate) mod http;
    pub(crate) mod leaks;
    pub(crate) mod peers;
    pub(crate) mod people;
    #[path = "../../../store/tests/support/postgres.rs"]
    pub(crate) mod postgres;
    pub(crate) mod relay;
    pub(crate) mod rust_trace;
    pub(crate) mod stage;
    pub(crate) mod upstream;
}

#[cfg(test)]
mod journeys {
    mod another_account;
    mod authorization_server_suite;
    mod client_identity;
    mod clients_sign_in;
    mod crash;
    mod database;
    mod declined;
    mod disconnect;
    mod discovery;
    mod eras;
    mod expiry;
    mod no_pkce;
    mod not_connected;
    mod opaque_tokens;
    mod other_proxies;
    mod outage;
    mod same_as_direct;
    mod server_suite;
    mod signed_out_elsewhere;
    mod step_up;
    mod streaming;
    mod together;
    mod two_people;
}
