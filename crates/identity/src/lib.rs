//! Who is calling: browser sign-in, sessions and bearer tokens
