//! Parsing a JSON record in which each property occurs once.
//!
//! JSON allows a name twice and leaves open which value counts; parsers take the last one. To
//! take either would be a guess about a person. What nobody reads of a record may occur twice.

use std::{cell::RefCell, fmt};

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// A parsed text, and the properties in it that are read and occur twice: each as the names and positions
/// that lead there.
pub(crate) struct Parsed {
    pub(crate) value: Value,
    pub(crate) twice: Vec<Vec<String>>,
}

/// Parses a text; `None` if it is no JSON. `reads` says whether what a path leads to is read.
pub(crate) fn parse(text: &str, reads: impl Fn(&[String]) -> bool) -> Option<Parsed> {
    let seen = Seen { twice: RefCell::default(), reads: &reads };
    let mut parser = serde_json::Deserializer::from_str(text);
    let value = Place { up: None, step: Step::Top, seen: &seen }.deserialize(&mut parser).ok()?;
    parser.end().ok()?;
    Some(Parsed { value, twice: seen.twice.into_inner() })
}

/// Whether who reads what stands at one path reads of what stands at another: at one of both, in it, or
/// around it. Paths are written with dots.
pub(crate) fn touches(one: &str, other: &str) -> bool {
    let leads = |from: &str, to: &str| to.strip_prefix(from).is_some_and(|rest| rest.starts_with('.'));
    one == other || leads(one, other) || leads(other, one)
}

/// What was seen of a text by now.
struct Seen<'a> {
    twice: RefCell<Vec<Vec<String>>>,
    reads: &'a dyn Fn(&[String]) -> bool,
}

/// Where a value is.
struct Place<'a> {
    up: Option<&'a Place<'a>>,
    step: Step<'a>,
    seen: &'a Seen<'a>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Top,
    Property(&'a str),
    Element(usize),
}

impl Place<'_> {
    fn below<'a>(&'a self, step: Step<'a>) -> Place<'a> {
        Place { up: Some(self), step, seen: self.seen }
    }

    fn occurs_twice(&self) {
        let path = self.path();
        if (self.seen.reads)(&path) {
            self.seen.twice.borrow_mut().push(path);
        }
    }

    fn path(&self) -> Vec<String> {
        let mut path = self.up.map(Place::path).unwrap_or_default();
        match self.step {
            Step::Top => {}
            Step::Property(name) => path.push(name.to_owned()),
            Step::Element(at) => path.push(at.to_string()),
        }
        path
    }
}

impl<'de> DeserializeSeed<'de> for Place<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Place<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Bool(flag))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Value, E> {
        Ok(Number::from_f64(number).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(text.to_owned()))
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Value, E> {
        Ok(Value::String(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = elements.next_element_seed(self.below(Step::Element(list.len())))? {
            list.push(value);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut properties: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = properties.next_key::<String>()? {
            let value = properties.next_value_seed(self.below(Step::Property(&name)))?;
            if object.contains_key(&name) {
                self.below(Step::Property(&name)).occurs_twice();
            }
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_value_is_what_serde_json_reads() {
        for text in [
            r#"{"a": [1, -2, 3.5, 1e3, 18446744073709551615], "b": {"c": null, "d": [true, {}]}, "é\n": "\u00fc"}"#,
            "[]",
            "7",
            "\"x\"",
        ] {
            let parsed = parse(text, |_| true).unwrap();
            assert_eq!((parsed.value, parsed.twice), (serde_json::from_str(text).unwrap(), vec![]), "{text}");
        }
        for text in ["", "{", "{} {}", r#"{"a": 1e999}"#, "nul", r#"{"a" 1}"#] {
            assert!(
                parse(text, |_| true).is_none() && serde_json::from_str::<Value>(text).is_err(),
                "{text}"
            );
        }
    }

    #[test]
    fn properties_that_occur_twice_are_told_by_their_paths() {
        for (text, paths) in [
            (r#"{"a": 1, "b": 2, "a": 1}"#, &["a"][..]),
            (r#"{"a": 1, "\u0061": 2}"#, &["a"]),
            (r#"{"a": {"b": [{}, {"c": 1, "c": 2}]}, "a": 3}"#, &["a.b.1.c", "a"]),
            (r#"{"a": {"b": 1}, "c": {"b": 1}}"#, &[]),
        ] {
            let twice = parse(text, |_| true).unwrap().twice;
            let twice: Vec<String> = twice.iter().map(|path| path.join(".")).collect();
            assert_eq!(twice, paths, "{text}");
        }
    }

    #[test]
    fn what_is_not_read_may_occur_twice() {
        let text = r#"{"seen": 1, "seen": 2, "a": {"b": 1, "b": 2}}"#;
        let twice = |read: &str| parse(text, |path| touches(read, &path.join("."))).unwrap().twice;
        assert_eq!([twice("c").len(), twice("a.c").len(), twice("se").len()], [0; 3]);
        for read in ["a", "a.b", "a.b.c"] {
            assert_eq!(twice(read), [["a", "b"]], "{read}");
        }
    }

    #[test]
    fn values_nested_too_deep_are_refused_as_before() {
        let deep = "[".repeat(200) + &"]".repeat(200);
        assert!(parse(&deep, |_| true).is_none() && serde_json::from_str::<Value>(&deep).is_err());
    }
}
