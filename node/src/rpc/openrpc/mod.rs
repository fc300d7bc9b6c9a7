//! The API's description: an OpenRPC document (OpenRPC 1.3.2, <https://spec.open-rpc.org>), served
//! by `rpc_discover`, and the reference page that is made of it.
//!
//! Made of the table of methods and of what `methods` says of each; tests compare it with real
//! answers. Methods of other modes, which are never enabled, are not in it.

mod methods;
mod page;
mod schemas;

use std::sync::LazyLock;

use serde_json::{Value, json};

pub use self::page::page;
use super::{
    error::Refusal,
    methods::{METHODS, Method},
    params::Params,
};

/// What there is to say of a method.
#[derive(Debug)]
pub struct Docs {
    /// What it does, in a sentence or some.
    pub summary: &'static str,
    /// Its parameters, by position.
    pub params: &'static [Param],
    /// What it answers.
    pub result: (&'static str, Schema),
    /// How it can fail, besides what can happen to every method.
    pub errors: &'static [&'static [Failure]],
}

/// A parameter.
#[derive(Debug)]
pub struct Param {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub summary: &'static str,
    /// Whether it may be left out.
    pub optional: bool,
    /// Its form.
    pub schema: Schema,
}

/// A form, by the name of its schema.
#[derive(Clone, Copy, Debug)]
pub enum Schema {
    /// This.
    Is(&'static str),
    /// This, or `null`.
    OrNull(&'static str),
    /// A list of these.
    Many(&'static str),
}

/// A way to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The number.
    pub number: i32,
    /// The message, which is Besu's where Besu has the case.
    pub message: &'static str,
    /// The stable word in `data.code`; none where `data` is what was reverted with.
    pub code: Option<&'static str>,
}

impl Method {
    /// What there is to say of it; `None` for a method that nobody described.
    pub fn docs(&self) -> Option<&'static Docs> {
        methods::DOCS.iter().find(|(names, _)| names.contains(&self.name)).map(|(_, docs)| docs)
    }

    /// Whether it is one of this node's, not one of another mode's.
    pub fn is_enabled(&self) -> bool {
        (self.parse)(&Params::default()) != Err(Refusal::MethodNotEnabled)
    }
}

/// The document.
pub fn document() -> &'static Value {
    static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
        let methods = METHODS.iter().filter(|method| method.is_enabled());
        json!({
            "openrpc": "1.3.2",
            "info": {
                "title": "Coterie",
                "version": env!("CARGO_PKG_VERSION"),
                "description": methods::ABOUT,
            },
            "methods": methods.filter_map(method).collect::<Vec<_>>(),
            "components": { "schemas": schemas::all() },
        })
    });
    &DOCUMENT
}

fn method(method: &Method) -> Option<Value> {
    let docs = method.docs()?;
    let params = docs.params.iter().map(|param| {
        json!({
            "name": param.name,
            "summary": param.summary,
            "required": !param.optional,
            "schema": schema(param.schema),
        })
    });
    let (name, result) = docs.result;
    Some(json!({
        "name": method.name,
        "summary": docs.summary,
        "paramStructure": "by-position",
        "params": params.collect::<Vec<_>>(),
        "result": { "name": name, "schema": schema(result) },
        "errors": failures(docs).map(error).collect::<Vec<_>>(),
    }))
}

/// All ways in which a method can fail.
fn failures(docs: &Docs) -> impl Iterator<Item = &'static Failure> {
    docs.errors.iter().copied().chain([methods::ALWAYS]).flatten()
}

fn error(failure: &Failure) -> Value {
    let mut error = json!({ "code": failure.number, "message": failure.message });
    if let (Some(code), Some(error)) = (failure.code, error.as_object_mut()) {
        error.insert("data".to_owned(), json!({ "code": code }));
    }
    error
}

fn schema(schema: Schema) -> Value {
    let named = |name: &str| json!({ "$ref": format!("#/components/schemas/{name}") });
    match schema {
        Schema::Is(name) => named(name),
        Schema::OrNull(name) => json!({ "anyOf": [named(name), { "type": "null" }] }),
        Schema::Many(name) => json!({ "type": "array", "items": named(name) }),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_enabled_method_is_described_and_nothing_else() {
        for method in METHODS.iter().filter(|method| method.is_enabled()) {
            assert!(method.docs().is_some(), "describe {} in openrpc/methods.rs", method.name);
        }
        for name in methods::DOCS.iter().flat_map(|(names, _)| *names) {
            assert!(METHODS.iter().any(|method| method.name == *name), "there is no {name}");
        }
    }

    #[test]
    fn descriptions_say_something() {
        for (names, docs) in methods::DOCS {
            assert!(docs.summary.ends_with('.'), "{names:?}");
            for param in docs.params {
                assert!(!param.summary.is_empty(), "{names:?} {}", param.name);
            }
            let mut optional = docs.params.iter().map(|param| param.optional);
            assert!(optional.by_ref().is_sorted(), "{names:?}: optional parameters come last");
        }
    }

    #[test]
    fn all_schemas_that_are_named_are_there_and_all_that_are_there_are_named() {
        let text = document().to_string();
        let named: BTreeSet<_> = text
            .split("#/components/schemas/")
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
            .collect();
        let schemas = schemas::all();
        let there: BTreeSet<_> = schemas.as_object().unwrap().keys().map(String::as_str).collect();
        // Of methods that are described and not enabled yet.
        let waiting = methods::DOCS.iter().filter(|(names, _)| {
            METHODS.iter().any(|method| names.contains(&method.name) && !method.is_enabled())
        });
        let waiting: BTreeSet<_> = waiting
            .flat_map(|(_, docs)| docs.params.iter().map(|it| it.schema).chain([docs.result.1]))
            .map(|it| match it {
                Schema::Is(name) | Schema::OrNull(name) | Schema::Many(name) => name,
            })
            .collect();
        let named: BTreeSet<_> = named.union(&waiting).copied().collect();
        assert_eq!(named, there);
    }

    #[test]
    fn the_same_error_is_listed_once() {
        for (names, docs) in methods::DOCS {
            let all: Vec<_> = failures(docs).collect();
            for (at, failure) in all.iter().enumerate() {
                assert!(!all[..at].contains(failure), "{names:?}: {failure:?}");
            }
        }
    }
}
