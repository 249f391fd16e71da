//! Sockets: the listener, the upstream client, bounded control-plane requests and the address guard
