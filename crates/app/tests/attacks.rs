//! Attacks and failures, played against the gateway as it runs.
//!
//! Each says what the person sees, what the upstream saw, and what is stored. What holds after
//! every one of them (no token, cookie or foreign word in any answer, log line or byte of the
//! store) is said once, in `World::end`.

mod support {
    pub(crate) mod bare;
    pub(crate) mod forge;
    pub(crate) mod program;
    pub(crate) mod visitor;
    pub(crate) mod witness;
    pub(crate) mod world;
}

mod attacks {
    mod connect;
}
