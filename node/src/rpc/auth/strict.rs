//! The text forms of a token's parts, read without tolerance: base64url that has exactly one
//! spelling, and JSON objects that name each member once at every depth.
//!
//! Libraries differ in what they tolerate here, and every difference is a way to show two of them
//! two tokens. Formats: RFC 7515, 2 and 4; RFC 7519, 4.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value};

/// The bytes of base64url without padding; `None` for any other spelling of the same bytes.
pub(super) fn base64url(text: &str) -> Option<Vec<u8>> {
    // The engine refuses padding, other alphabets and bits that are left over.
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// The members of a JSON object; `None` when it is none, or has a member twice anywhere.
pub(super) fn object(bytes: &[u8]) -> Option<Map<String, Value>> {
    match serde_json::from_slice::<Strict>(bytes).ok()?.0 {
        Value::Object(members) => Some(members),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            None
        }
    }
}

struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without a member twice")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, it: bool) -> Result<Value, E> {
        Ok(Value::Bool(it))
    }

    fn visit_u64<E: Error>(self, it: u64) -> Result<Value, E> {
        Ok(Value::Number(it.into()))
    }

    fn visit_i64<E: Error>(self, it: i64) -> Result<Value, E> {
        Ok(Value::Number(it.into()))
    }

    fn visit_f64<E: Error>(self, it: f64) -> Result<Value, E> {
        Number::from_f64(it).map(Value::Number).ok_or_else(|| E::custom("no number"))
    }

    fn visit_str<E: Error>(self, it: &str) -> Result<Value, E> {
        Ok(Value::String(it.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Strict(it)) = entries.next_element()? {
            list.push(it);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some((name, Strict(it))) = entries.next_entry::<String, Strict>()? {
            if members.insert(name, it).is_some() {
                return Err(A::Error::custom("a member is there twice"));
            }
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_one_spelling() {
        assert_eq!(base64url("AA"), Some(vec![0]));
        assert_eq!(base64url("-_8"), Some(vec![0xfb, 0xff]));
        for text in ["AB", "AA==", "AA=", "A", "+/8", "A A", "AA\n", "AAA.", "ÄA"] {
            assert_eq!(base64url(text), None, "{text}");
        }
    }

    #[test]
    fn objects_name_each_member_once() {
        let text = br#" {"a":[1,-1,1.5,"x",null,true,{"b":{}}]} "#;
        assert_eq!(
            Value::Object(object(text).unwrap()),
            serde_json::from_slice::<Value>(text).unwrap()
        );
        for text in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"{"a":{"b":1,"b":2}}"#,
            r#"{"a":[{"b":1,"b":2}]}"#,
            r#"{"a":1}x"#,
            r#"{"a":1}{}"#,
            r#"{"a":1,}"#,
            r#"{"a":1e400}"#,
            r#"{"a":NaN}"#,
            "{'a':1}",
            "[]",
            "null",
            "1",
            "",
            "\u{feff}{}",
        ] {
            assert_eq!(object(text.as_bytes()), None, "{text}");
        }
        assert_eq!(object(b"{\"a\":\"\xff\"}"), None);
        let deep = "[".repeat(10_000);
        assert_eq!(object(format!("{{\"a\":{deep}").as_bytes()), None);
    }
}
