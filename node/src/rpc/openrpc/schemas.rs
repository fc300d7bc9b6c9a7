//! The forms of parameters and results, as JSON Schema (draft 7, the one of OpenRPC).
//!
//! Kept as JSON beside this file; tests compare it with real answers.

use std::sync::LazyLock;

use serde_json::Value;

/// All schemas by name.
pub(super) fn all() -> &'static Value {
    static ALL: LazyLock<Value> =
        LazyLock::new(|| serde_json::from_str(include_str!("schemas.json")).unwrap_or_default());
    &ALL
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schemas_are_json() {
        assert!(all().as_object().is_some_and(|all| all.len() > 20));
    }
}
