//! Every input that is kept, read once: finds stay fixed.

use attache_fuzz::{TARGETS, corpus, hunt};

#[test]
fn every_property_holds_for_the_whole_corpus() {
    for target in TARGETS {
        for (name, input) in corpus::load(*target).unwrap() {
            if let Err(find) = hunt::read(*target, &input) {
                panic!("{target}/{name}: {}", find.broken);
            }
        }
    }
}
