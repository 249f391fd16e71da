//! Pages and the REST API for people
