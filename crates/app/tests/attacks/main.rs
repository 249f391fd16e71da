//! Attacks and failures, played against the gateway as it runs.
//!
//! Each says what the person sees, what the upstream saw, and what is stored. What holds after
//! every one of them (no token, cookie or foreign word in any answer, log line or byte of the
//! store) is said once, in `World::end`.

#[path = "../support/app.rs"]
mod app;
#[path = "../support/bare.rs"]
mod bare;
#[path = "../support/configuration.rs"]
mod configuration;
#[path = "../support/forge.rs"]
mod forge;
#[path = "../../../store/tests/support/postgres.rs"]
mod postgres;
#[path = "../support/program.rs"]
mod program;
#[path = "../support/visitor.rs"]
mod visitor;
#[path = "../support/witness.rs"]
mod witness;
#[path = "../support/world.rs"]
mod world;

mod accounts;
mod activity;
mod admin_pages;
mod admins;
mod assertions;
mod backchannel_logout;
mod callers;
mod client_secrets;
mod clients;
mod command_line;
mod connect;
mod device;
mod egress;
mod entra;
mod eras;
mod exchange;
#[cfg(feature = "ext-authz")]
mod ext_authz;
mod forward_auth;
mod hygiene;
mod id_jag;
mod introspection;
mod keys;
mod limits;
mod notices;
mod offboarding;
mod policy;
#[cfg(feature = "ext-authz")]
mod proxy_certificates;
mod scim;
mod sign_in;
mod step_up;
mod storage;
mod streams;
mod subject_tokens;
mod terms;
mod together;
mod token_endpoint;
mod tokens;
mod tools;
mod vouching_proxies;
