//! The path of a request: from a caller, with their own credential, to the upstream
