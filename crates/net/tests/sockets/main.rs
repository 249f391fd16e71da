//! Both sides of the network on real sockets.

#[cfg(test)]
mod outbound;
#[cfg(test)]
mod peer;
#[cfg(test)]
mod serve;
#[cfg(test)]
mod upstream;
