//! From the tree to the typed shape, with every misfit reported: what does not fit is taken out,
//! and the rest is tried again.

use serde::Deserialize;

use crate::{
    diagnose::{Place, Problems},
    path::{KeyPath, Segment},
    suggest::{nearest, one_of},
    tree::{Fault, FaultKind, Tree},
};

/// After this many misfits the file is something else; also the bound of the loop.
const MOST_MISFITS: usize = 100;

pub(crate) fn decode<T>(mut tree: Tree, problems: &Problems) -> T
where
    T: for<'de> Deserialize<'de> + Default,
{
    for _ in 0..MOST_MISFITS {
        match T::deserialize(&tree) {
            Ok(shape) => return shape,
            Err(fault) => {
                let path = fault.path();
                report(&fault.kind, &path, &problems.at(path.clone()));
                tree.prune(&path.0, substitute(&fault));
            }
        }
    }
    T::default()
}

/// A table stays a table, so that what is after it in a list keeps its index.
fn substitute(fault: &Fault) -> Option<Tree> {
    match &fault.kind {
        FaultKind::Shape { expected, .. } if expected == "a table" => Some(Tree::EMPTY),
        _ => None,
    }
}

fn report(kind: &FaultKind, path: &KeyPath, place: &Place<'_>) {
    match kind {
        FaultKind::UnknownKey { known } => {
            let given = last_key(path);
            let help = match nearest(given, known) {
                Some(word) => format!("did you mean `{word}`?"),
                None => format!("the keys here are {}", known.join(", ")),
            };
            place.wrong_key(format!("unknown key `{given}`"), help);
        }
        FaultKind::UnknownWord { given, known } => {
            let message =
                format!("invalid {}: {given:?} (must be {})", qualified(path), one_of(known));
            let help = nearest(given, known).map(|word| format!("did you mean \"{word}\"?"));
            place.error(message, help.unwrap_or_default());
        }
        FaultKind::Shape { expected, found } => {
            let expected = plainly(expected);
            place.error(format!("expected {expected}, found {found}"), "");
        }
        FaultKind::Other(message) => place.error(message, ""),
    }
}

fn last_key(path: &KeyPath) -> &str {
    path.0
        .iter()
        .rev()
        .find_map(|segment| match segment {
            Segment::Key(name) => Some(name.as_str()),
            Segment::Index(_) => None,
        })
        .unwrap_or_default()
}

/// `auth_broker.mode`: the key and the table it stands in.
fn qualified(path: &KeyPath) -> String {
    match path.0.as_slice() {
        [.., Segment::Key(table), Segment::Key(name)] => format!("{table}.{name}"),
        _ => last_key(path).to_owned(),
    }
}

/// Serde's words for shapes, in ours.
fn plainly(expected: &str) -> &str {
    match expected {
        "a string" | "string" => "a text",
        "a sequence" => "a list",
        "a map" => "a table",
        other => other,
    }
}
