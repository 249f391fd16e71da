//! `attache demo`: a company, a provider and a gateway between them, on this machine.
//!
//! [`cast`] sets the stage, [`story`] plays the whole story by itself and checks it, [`page`] lets
//! a person play it in a browser.

mod cast;
mod client;
mod page;
mod story;

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    sync::Arc,
};

use crate::{
    Failure,
    cli::{Demo, Global},
    telemetry,
    terminal::Terminal,
};
use cast::Cast;

/// Where the gateway listens when nobody says and it is free: easy to remember.
const USUAL: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);

pub(crate) async fn run(demo: &Demo, global: &Global, terminal: Terminal) -> Result<(), Failure> {
    telemetry::install(global, terminal, true);
    let (cast, gateway) = Cast::start(listen_on(demo)?).await?;
    let cast = Arc::new(cast);
    let told = if demo.check {
        story::play(&cast, terminal).await
    } else {
        page::show(&cast, terminal).await
    };
    gateway.stop().await;
    cast.stop().await;
    told
}

fn listen_on(demo: &Demo) -> Result<SocketAddr, Failure> {
    let wanted = demo.listen.unwrap_or(USUAL);
    if !wanted.ip().is_loopback() {
        return Err(Failure::Usage(
            "the demo has sandbox passwords: it listens on a loopback address only".to_owned(),
        ));
    }
    // The address must be known before the gateway is configured with it.
    let free = |address| TcpListener::bind(address).and_then(|bound| bound.local_addr());
    match free(wanted) {
        Ok(address) => Ok(address),
        Err(_) if demo.listen.is_none() => {
            free(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).map_err(Failure::failed)
        }
        Err(error) => Err(Failure::Usage(format!("cannot listen on {wanted}: {error}"))),
    }
}
