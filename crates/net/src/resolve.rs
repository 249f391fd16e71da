//! Whom the gateway asks for the addresses of a name.

use std::{fmt::Debug, io, net::IpAddr};

use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use tower_service::Service as _;

/// Asked once for every connection; what it answers is filtered, and connected to as it is. A test
/// that brings its own decides where names lead, and when they lead elsewhere.
#[async_trait::async_trait]
pub trait Resolver: Debug + Send + Sync {
    /// # Errors
    /// When the name has no address.
    async fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>>;
}

/// As the machine is set up: its hosts file, then DNS.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

#[async_trait::async_trait]
impl Resolver for SystemResolver {
    async fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let name: Name = name.parse().map_err(io::Error::other)?;
        Ok(GaiResolver::new().call(name).await?.map(|address| address.ip()).collect())
    }
}
