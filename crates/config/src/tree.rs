//! The file as a tree, whatever its format, and the tree as a source for the typed shape.
//!
//! The detour buys two things: a key written twice is an error in every format, and a fault knows
//! the path of what it is about, so that `decode` can take that out and look for the next one.

use std::{collections::HashSet, fmt, iter::Enumerate, slice};

use serde::{
    Deserialize, Deserializer,
    de::{
        DeserializeSeed, Error as _, Expected, IntoDeserializer as _, MapAccess, SeqAccess,
        Unexpected, Visitor, value::StrDeserializer,
    },
    forward_to_deserialize_any,
};

use crate::path::{KeyPath, Segment};

#[derive(Clone)]
pub(crate) enum Tree {
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    List(Vec<Tree>),
    Table(Vec<(String, Tree)>),
    /// Where an item of a list was taken out: the others keep their index.
    Pruned,
}

impl Tree {
    pub(crate) const EMPTY: Self = Self::Table(Vec::new());

    /// Takes out what is at `path`, leaving `substitute` when there is one.
    pub(crate) fn prune(&mut self, path: &[Segment], substitute: Option<Self>) {
        let Some((first, rest)) = path.split_first() else {
            *self = substitute.unwrap_or(Self::EMPTY);
            return;
        };
        let remove = rest.is_empty() && substitute.is_none();
        match (self, first) {
            (Self::Table(entries), Segment::Key(name)) if remove => {
                entries.retain(|(key, _)| key != name);
            }
            (Self::Table(entries), Segment::Key(name)) => {
                if let Some((_, value)) = entries.iter_mut().find(|(key, _)| key == name) {
                    value.prune(rest, substitute);
                }
            }
            (Self::List(items), Segment::Index(index)) => {
                if let Some(item) = items.get_mut(*index) {
                    item.prune(rest, if remove { Some(Self::Pruned) } else { substitute });
                }
            }
            _ => {}
        }
    }

    fn kind(&self) -> Unexpected<'_> {
        match self {
            Self::Null | Self::Pruned => Unexpected::Unit,
            Self::Bool(value) => Unexpected::Bool(*value),
            Self::Integer(value) => Unexpected::Signed(*value),
            Self::Float(value) => Unexpected::Float(*value),
            Self::Text(value) => Unexpected::Str(value),
            Self::List(_) => Unexpected::Seq,
            Self::Table(_) => Unexpected::Map,
        }
    }

    /// Every text and number in the tree, with the key it stands under.
    pub(crate) fn scalars(&self) -> Vec<(&str, String)> {
        let mut found = Vec::new();
        self.collect_scalars("", &mut found);
        found
    }

    fn collect_scalars<'a>(&'a self, under: &'a str, found: &mut Vec<(&'a str, String)>) {
        match self {
            Self::Text(text) => found.push((under, text.clone())),
            Self::Integer(number) => found.push((under, number.to_string())),
            Self::Float(number) => found.push((under, number.to_string())),
            Self::List(items) => {
                for item in items {
                    item.collect_scalars(under, found);
                }
            }
            Self::Table(entries) => {
                for (key, value) in entries {
                    value.collect_scalars(key, found);
                }
            }
            Self::Null | Self::Bool(_) | Self::Pruned => {}
        }
    }
}

// --- into the tree ------------------------------------------------------------------------------

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table, list, text, number or boolean")
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
        Ok(Tree::Integer(value))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Tree, E> {
        i64::try_from(value).map(Tree::Integer).map_err(|_| E::custom("this number is too large"))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Tree, E> {
        Ok(Tree::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Tree, E> {
        Ok(Tree::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Tree, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Tree::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
        let mut entries = Vec::new();
        let mut seen = HashSet::new();
        while let Some(key) = map.next_key_seed(NewKey(&mut seen))? {
            entries.push((key, map.next_value()?));
        }
        Ok(Tree::Table(entries))
    }
}

/// Fails at the key itself, so that the format's parser says where the second one is.
struct NewKey<'a>(&'a mut HashSet<String>);

impl<'de> DeserializeSeed<'de> for NewKey<'_> {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for NewKey<'_> {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: serde::de::Error>(self, key: &str) -> Result<String, E> {
        if self.0.insert(key.to_owned()) {
            Ok(key.to_owned())
        } else {
            Err(E::custom(format_args!("duplicate key `{key}`")))
        }
    }
}

// --- out of the tree ----------------------------------------------------------------------------

/// The first thing that does not fit the shape, and where.
#[derive(Debug)]
pub(crate) struct Fault {
    /// Innermost first: it grows while the fault travels outwards.
    segments: Vec<Segment>,
    pub(crate) kind: FaultKind,
}

#[derive(Debug)]
pub(crate) enum FaultKind {
    UnknownKey { known: &'static [&'static str] },
    UnknownWord { given: String, known: &'static [&'static str] },
    Shape { expected: String, found: &'static str },
    Other(String),
}

impl Fault {
    pub(crate) fn path(&self) -> KeyPath {
        KeyPath(self.segments.iter().rev().cloned().collect())
    }

    fn within(mut self, segment: Segment) -> Self {
        self.segments.push(segment);
        self
    }
}

impl From<FaultKind> for Fault {
    fn from(kind: FaultKind) -> Self {
        Self { segments: Vec::new(), kind }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:?}", self.path(), self.kind)
    }
}

impl std::error::Error for Fault {}

impl serde::de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        FaultKind::Other(message.to_string()).into()
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        FaultKind::Shape { expected: expected.to_string(), found: kind_of(found) }.into()
    }

    fn unknown_variant(given: &str, known: &'static [&'static str]) -> Self {
        FaultKind::UnknownWord { given: given.to_owned(), known }.into()
    }

    fn unknown_field(_: &str, known: &'static [&'static str]) -> Self {
        FaultKind::UnknownKey { known }.into()
    }
}

/// The kind only, never the value: it may be a secret in the wrong place.
fn kind_of(found: Unexpected<'_>) -> &'static str {
    match found {
        Unexpected::Bool(_) => "a boolean",
        Unexpected::Unsigned(_) | Unexpected::Signed(_) | Unexpected::Float(_) => "a number",
        Unexpected::Char(_) | Unexpected::Str(_) => "a text",
        Unexpected::Unit | Unexpected::Option => "nothing",
        Unexpected::Seq => "a list",
        Unexpected::Map => "a table",
        _ => "something else",
    }
}

impl<'de> Deserializer<'de> for &'de Tree {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self {
            Tree::Null | Tree::Pruned => visitor.visit_unit(),
            Tree::Bool(value) => visitor.visit_bool(*value),
            Tree::Integer(value) => visitor.visit_i64(*value),
            Tree::Float(value) => visitor.visit_f64(*value),
            Tree::Text(value) => visitor.visit_str(value),
            Tree::List(items) => visitor.visit_seq(Items(items.iter().enumerate())),
            Tree::Table(entries) => visitor.visit_map(Entries { rest: entries.iter(), at: None }),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self {
            Tree::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match self {
            Tree::Text(word) => {
                let word: StrDeserializer<'_, Fault> = word.as_str().into_deserializer();
                visitor.visit_enum(word)
            }
            other => Err(Fault::invalid_type(other.kind(), &"a text")),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

struct Items<'de>(Enumerate<slice::Iter<'de, Tree>>);

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Fault> {
        let item = self.0.by_ref().find(|(_, item)| !matches!(item, Tree::Pruned));
        let Some((index, item)) = item else { return Ok(None) };
        seed.deserialize(item).map(Some).map_err(|fault| fault.within(Segment::Index(index)))
    }
}

struct Entries<'de> {
    rest: slice::Iter<'de, (String, Tree)>,
    at: Option<&'de (String, Tree)>,
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Fault> {
        self.at = self.rest.next();
        let Some((key, _)) = self.at else { return Ok(None) };
        let name: StrDeserializer<'_, Fault> = key.as_str().into_deserializer();
        seed.deserialize(name).map(Some).map_err(|fault| fault.within(Segment::Key(key.clone())))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        let Some((key, value)) = self.at.take() else {
            return Err(Fault::custom("a value without a key"));
        };
        seed.deserialize(value).map_err(|fault| fault.within(Segment::Key(key.clone())))
    }
}
