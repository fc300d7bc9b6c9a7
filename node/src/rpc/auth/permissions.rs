//! What a token permits: `*:*`, `<namespace>:*` or `<namespace>:<method>`, where a method's name is
//! split at its first underscore (protocol specification, 8.1).

/// What a caller may ask.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Permissions(Vec<Permission>);

/// Namespaces that `*:*` covers: this node's own, and those of the chain that only read or send
/// transactions. Others (`admin`, `debug`, `miner`…) may make a tenant the operator of the chain's
/// node, so they must be named.
const COVERED: [&str; 7] = ["eea", "priv", "privx", "coterie", "eth", "net", "web3"];

#[derive(Clone, Debug, PartialEq, Eq)]
enum Permission {
    /// Whatever there is: no text says this.
    Everything,
    All,
    Namespace(Box<str>),
    Method {
        namespace: Box<str>,
        method: Box<str>,
    },
}

impl Permissions {
    /// Everything, as without authentication.
    pub(super) fn all_and_operator() -> Self {
        Self(vec![Permission::Everything])
    }

    /// What these texts permit. A text of another form permits nothing: issuers put permissions of
    /// other programs into the same list.
    pub fn of<'a>(texts: impl IntoIterator<Item = &'a str>) -> Self {
        Self(texts.into_iter().filter_map(Permission::parse).collect())
    }

    /// Whether `text` has the form of a permission.
    pub fn is_permission(text: &str) -> bool {
        Permission::parse(text).is_some()
    }

    /// Whether `method` may be called. What is for operators needs [`Self::allow_by_name`], too.
    pub fn allow(&self, method: &str) -> bool {
        self.0.iter().any(|it| match it {
            Permission::Everything => true,
            Permission::All => {
                let namespace = method.split_once('_').map(|(namespace, _)| namespace);
                // Without a namespace only the description of the API has a name.
                namespace.is_none_or(|it| COVERED.contains(&it)) || method == "rpc_discover"
            }
            Permission::Namespace(_) | Permission::Method { .. } => it.names(method),
        })
    }

    /// Whether `method` or its namespace is named: `*:*` is given to tenants, and does not make
    /// them operators.
    pub fn allow_by_name(&self, method: &str) -> bool {
        self.0.iter().any(|it| it.names(method))
    }
}

impl Permission {
    fn parse(text: &str) -> Option<Self> {
        let (namespace, method) = text.split_once(':')?;
        let is_name = |it: &str| !it.is_empty() && !it.contains(['*', ':']);
        match (namespace, method) {
            ("*", "*") => Some(Self::All),
            (namespace, "*") if is_name(namespace) => Some(Self::Namespace(namespace.into())),
            (namespace, method) if is_name(namespace) && is_name(method) => {
                Some(Self::Method { namespace: namespace.into(), method: method.into() })
            }
            _ => None,
        }
    }

    fn names(&self, method: &str) -> bool {
        let Some((of, rest)) = method.split_once('_') else { return *self == Self::Everything };
        match self {
            Self::Everything => true,
            Self::All => false,
            Self::Namespace(namespace) => **namespace == *of,
            Self::Method { namespace, method } => **namespace == *of && **method == *rest,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(permission: &str, allowed: &[&str], refused: &[&str]) {
        let it = Permissions::of([permission]);
        for method in allowed {
            assert!(it.allow(method), "{permission} should allow {method}");
        }
        for method in refused {
            assert!(!it.allow(method), "{permission} should not allow {method}");
        }
    }

    #[test]
    fn permissions_name_a_method_a_namespace_or_everything() {
        check(
            "*:*",
            &["priv_call", "eth_call", "web3_sha3", "x"],
            &["debug_setHead", "admin_addPeer"],
        );
        check("priv:*", &["priv_call", "priv_", "priv_a_b"], &["privx_a", "eth_call", "priv", ""]);
        check(
            "priv:call",
            &["priv_call"],
            &["priv_callx", "priv_getCode", "priv_Call", "eth_call"],
        );
        check("a:b_c", &["a_b_c"], &["a_b", "a_b_d", "a_b:c"]);
    }

    #[test]
    fn wildcards_stand_only_where_they_are_meant() {
        let methods = ["priv_call", "eth_call", "priv_", "_call", "*_*", "*_call", "priv_*", "x"];
        for text in [
            "",
            "*",
            "**",
            ":",
            "*:",
            ":*",
            "*:call",
            "priv",
            "priv:",
            "priv*",
            "priv:**",
            "priv:c*",
            "pri*:call",
            "*:*:*",
            "priv:*:*",
            "priv:call:*",
            "priv_call",
            "PRIV:*",
            "priv:CALL",
            " priv:*",
            "priv:* ",
            "*:* ",
            "priv:call ",
            "*:*\n",
            "＊:＊",
        ] {
            check(text, &[], &methods);
        }
    }

    #[test]
    fn everything_does_not_include_what_is_for_operators() {
        for (text, want) in
            [("*:*", false), ("coterie:*", true), ("coterie:heal", true), ("priv:*", false)]
        {
            assert_eq!(Permissions::of([text]).allow_by_name("coterie_heal"), want, "{text}");
        }
        assert!(Permissions::of(["other program", "priv:call"]).allow("priv_call"));
        assert!(!Permissions::default().allow("priv_call"));
    }
}
