//! Parsing a JSON record in which each property occurs once.
//!
//! JSON allows a name twice and leaves open which value counts; parsers take the last one. To
//! take either would be a guess about a person.

use std::{cell::RefCell, fmt};

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// A parsed text, and the first property in it that occurs twice: the names and positions that lead there.
pub(crate) struct Parsed {
    pub(crate) value: Value,
    pub(crate) twice: Option<Vec<String>>,
}

/// Parses a text; `None` if it is no JSON.
pub(crate) fn parse(text: &str) -> Option<Parsed> {
    let twice = RefCell::new(None);
    let mut parser = serde_json::Deserializer::from_str(text);
    let value = Place { up: None, step: Step::Top, twice: &twice }.deserialize(&mut parser).ok()?;
    parser.end().ok()?;
    Some(Parsed { value, twice: twice.into_inner() })
}

/// Where a value is.
struct Place<'a> {
    up: Option<&'a Place<'a>>,
    step: Step<'a>,
    twice: &'a RefCell<Option<Vec<String>>>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Top,
    Property(&'a str),
    Element(usize),
}

impl Place<'_> {
    fn below<'a>(&'a self, step: Step<'a>) -> Place<'a> {
        Place { up: Some(self), step, twice: self.twice }
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
            if object.contains_key(&name) && self.twice.borrow().is_none() {
                *self.twice.borrow_mut() = Some(self.below(Step::Property(&name)).path());
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
            let parsed = parse(text).unwrap();
            assert_eq!((parsed.value, parsed.twice), (serde_json::from_str(text).unwrap(), None), "{text}");
        }
        for text in ["", "{", "{} {}", r#"{"a": 1e999}"#, "nul", r#"{"a" 1}"#] {
            assert!(parse(text).is_none() && serde_json::from_str::<Value>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_first_property_that_occurs_twice_is_told_by_its_path() {
        for (text, path) in [
            (r#"{"a": 1, "b": 2, "a": 1}"#, &["a"][..]),
            (r#"{"a": 1, "\u0061": 2}"#, &["a"]),
            (r#"{"a": {"b": [{}, {"c": 1, "c": 2}]}, "a": 3}"#, &["a", "b", "1", "c"]),
            (r#"{"a": {"b": 1}, "c": {"b": 1}}"#, &[]),
        ] {
            let twice = parse(text).unwrap().twice.unwrap_or_default();
            assert_eq!(twice, path, "{text}");
        }
    }

    #[test]
    fn values_nested_too_deep_are_refused_as_before() {
        let deep = "[".repeat(200) + &"]".repeat(200);
        assert!(parse(&deep).is_none() && serde_json::from_str::<Value>(&deep).is_err());
    }
}
