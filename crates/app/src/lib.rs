//! attache: a gateway that attaches each caller's own upstream credential to each request
