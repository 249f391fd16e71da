//! An upstream as programs call it.

use attache_core::{Access, UpstreamName};

#[derive(Clone, Debug)]
pub struct Served {
    pub name: UpstreamName,
    pub protocol: Protocol,
    pub access: Access,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Mcp,
    Http,
}

impl Served {
    /// Below [`attache_core::PublicOrigin`].
    pub fn path(&self) -> String {
        match self.protocol {
            Protocol::Mcp => format!("/mcp/{}", self.name),
            Protocol::Http => format!("/http/{}/", self.name),
        }
    }
}
