//! What the file may say and this version of the gateway cannot do.
//!
//! Apart from the other rules: those are the format's, and stay when these are gone.

use crate::{diagnose::Place, schema::File};

pub(crate) fn supported(file: &File, root: &Place<'_>) {
    for (index, upstream) in file.upstream.iter().enumerate() {
        let place = root.key("upstream").index(index);
        if upstream.protocol == "sse" {
            place.key("protocol").error(
                "this version does not support protocol \"sse\"",
                "use the server's streamable-http endpoint, if it has one",
            );
        }
    }
}
