//! Strictly per person: a ready credential, else one obtained, else where to connect
