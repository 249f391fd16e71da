//! Finds the line of a key.
//!
//! The parsers keep no positions in what they return, but each says where it was when a visitor
//! refuses something. So: walk to the key, refuse it, and read the place off the error.

use std::{fmt, ops::Range};

use serde::{
    Deserializer,
    de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use crate::{
    load::Format,
    path::{KeyPath, Segment},
};

/// The bytes of what is at `path`; of the nearest table around it when it is not in the file.
pub(crate) fn locate(
    text: &str,
    format: Format,
    path: &KeyPath,
    part: Part,
) -> Option<Range<usize>> {
    let mut path = path.0.as_slice();
    let mut part = part;
    while !path.is_empty() {
        let probe = Probe { path, part };
        let found = match format {
            Format::Toml => in_toml(text, probe),
            // JSON is YAML that happens to be stricter.
            Format::Yaml | Format::Json => in_yaml(text, probe),
        };
        if found.is_some() {
            return found;
        }
        path = path.split_last()?.1;
        part = Part::Key;
    }
    None
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Key,
    Value,
}

fn in_toml(text: &str, probe: Probe<'_>) -> Option<Range<usize>> {
    let refusal = probe.deserialize(toml::Deserializer::parse(text).ok()?).err()?;
    Some(first_line(text, refusal.span()?))
}

fn in_yaml(text: &str, probe: Probe<'_>) -> Option<Range<usize>> {
    let refusal = probe.deserialize(yaml_serde::Deserializer::from_str(text)).err()?;
    let place = refusal.location()?;
    let start = offset(text, place.line(), place.column());
    Some(start..start + token(text.get(start..)?).max(1))
}

/// The byte at a line and column, both counted from 1, the column in characters; the end of the
/// text for what is past it.
pub(crate) fn offset(text: &str, line: usize, column: usize) -> usize {
    let line_start = match line.checked_sub(2) {
        None => Some(0),
        Some(newlines) => text.match_indices('\n').nth(newlines).map(|(newline, _)| newline + 1),
    };
    line_start
        .and_then(|start| {
            let mut characters = text.get(start..)?.char_indices();
            characters.nth(column.saturating_sub(1)).map(|(bytes, _)| start + bytes)
        })
        .unwrap_or(text.len())
}

/// How long the scalar is that `text` begins with.
fn token(text: &str) -> usize {
    let line = text.lines().next().unwrap_or_default();
    match line.chars().next() {
        Some(quote @ ('"' | '\'')) => {
            line.get(1..).and_then(|rest| rest.find(quote)).map_or(line.len(), |end| end + 2)
        }
        _ => line.find([',', '}', ']', ':', '#']).unwrap_or(line.len()),
    }
}

fn first_line(text: &str, span: Range<usize>) -> Range<usize> {
    let end = text.get(span.clone()).and_then(|inside| inside.find('\n'));
    span.start..end.map_or(span.end, |end| span.start + end)
}

#[derive(Clone, Copy)]
struct Probe<'a> {
    path: &'a [Segment],
    part: Part,
}

impl Probe<'_> {
    fn scalar<E: Error>(self) -> Result<(), E> {
        if self.path.is_empty() { Err(E::custom("here")) } else { Ok(()) }
    }
}

impl<'de> DeserializeSeed<'de> for Probe<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Probe<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Some((first, rest)) = self.path.split_first() else { return self.scalar() };
        let name = match first {
            Segment::Key(name) => Some(name.as_str()),
            Segment::Index(_) => None,
        };
        let refuse = rest.is_empty() && self.part == Part::Key;
        while let Some(found) = map.next_key_seed(KeyProbe { name, refuse })? {
            if found {
                map.next_value_seed(Probe { path: rest, ..self })?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Some((first, rest)) = self.path.split_first() else { return self.scalar() };
        if let Segment::Index(index) = first {
            for _ in 0..*index {
                seq.next_element::<IgnoredAny>()?;
            }
            seq.next_element_seed(Probe { path: rest, ..self })?;
        }
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.scalar()
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        self.scalar()
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        self.scalar()
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        self.scalar()
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        self.scalar()
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        self.scalar()
    }
}

/// Whether this is the key on the way; refuses it when it is where the way ends.
struct KeyProbe<'a> {
    name: Option<&'a str>,
    refuse: bool,
}

impl<'de> DeserializeSeed<'de> for KeyProbe<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeyProbe<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<bool, E> {
        let found = self.name == Some(key);
        if found && self.refuse { Err(E::custom("here")) } else { Ok(found) }
    }
}
