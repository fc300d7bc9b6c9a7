//! The credentials file: users, their bcrypt hashes and what they may do, in the TOML of the
//! protocol specification, 8.1. `groups` and `roles` are read and mean nothing, as in Besu.

use std::{collections::BTreeMap, fmt};

use coterie_core::EnclaveKey;
use serde::Deserialize;

use super::permissions::Permissions;

/// Costs that are accepted: less is guessed quickly, more keeps a core busy for seconds.
const COSTS: std::ops::RangeInclusive<u32> = 4..=14;
/// Users of one file, at most.
const USERS_MAX: usize = 10_000;

/// The users who may log in now.
pub(super) struct Users {
    by_name: BTreeMap<String, User>,
    dummy: String,
    /// How often the file was read.
    generation: u64,
}

/// One of them.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct User {
    /// bcrypt, checked for its form.
    pub(super) password_hash: String,
    pub(super) permissions: Vec<String>,
    pub(super) enclave_key: Option<EnclaveKey>,
    /// Another number after every change, so that tokens from before it end.
    pub(super) revision: u64,
}

/// A credentials file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidUsers {
    /// Not TOML, or an unknown or missing key.
    #[error("not a credentials file")]
    Toml(#[source] Box<toml::de::Error>),
    /// No users.
    #[error("there is no user: add [Users.NAME] with password and permissions")]
    Nobody,
    /// Too many users.
    #[error("more than 10000 users")]
    TooMany,
    /// The password is no bcrypt hash.
    #[error("the password of {0:?} is no bcrypt hash: `coterie token password` makes one")]
    Hash(String),
    /// The hash is too cheap or too dear.
    #[error("the bcrypt cost of {name:?} is {cost}: 4 to 14 are possible")]
    Cost {
        /// Whose.
        name: String,
        /// Its cost.
        cost: u32,
    },
    /// A permission of another form.
    #[error("{permission:?} of {name:?} is no permission: *:*, namespace:* or namespace:method")]
    Permission {
        /// Whose.
        name: String,
        /// The text.
        permission: String,
    },
    /// The key is none.
    #[error("privacyPublicKey of {0:?} is no enclave key: base64 of 32 bytes")]
    Key(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    #[serde(rename = "Users", default)]
    users: BTreeMap<String, RawUser>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawUser {
    password: String,
    #[serde(default)]
    permissions: Vec<String>,
    #[serde(default)]
    #[expect(dead_code, reason = "files of Besu have it")]
    groups: Vec<String>,
    #[serde(default)]
    #[expect(dead_code, reason = "files of Besu have it")]
    roles: Vec<String>,
    #[serde(rename = "privacyPublicKey")]
    enclave_key: Option<String>,
}

impl Users {
    /// Reads a file. Who is as in `before` keeps the revision.
    pub(super) fn read(text: &str, before: Option<&Self>) -> Result<Self, InvalidUsers> {
        let raw: RawFile = toml::from_str(text).map_err(|error| {
            // Not with the line it is on, which may hold a hash.
            let mut error = error;
            error.set_input(None);
            InvalidUsers::Toml(Box::new(error))
        })?;
        if raw.users.is_empty() {
            return Err(InvalidUsers::Nobody);
        }
        if raw.users.len() > USERS_MAX {
            return Err(InvalidUsers::TooMany);
        }
        let generation = before.map_or(0, |it| it.generation + 1);
        let mut by_name = BTreeMap::new();
        let mut cost_max = *COSTS.start();
        for (name, user) in raw.users {
            let (mut user, cost) = resolve(&name, user)?;
            cost_max = cost_max.max(cost);
            // A name that comes back is not who had it before.
            user.revision = match before.and_then(|it| it.by_name.get(&name)) {
                Some(known) if User { revision: known.revision, ..user.clone() } == *known => {
                    known.revision
                }
                Some(_) | None => generation,
            };
            by_name.insert(name, user);
        }
        // Of no password: the salt and hash are zeros.
        let dummy = format!("$2b${cost_max:02}${}", ".".repeat(53));
        Ok(Self { by_name, dummy, generation })
    }

    /// The user of this name.
    pub(super) fn get(&self, name: &str) -> Option<&User> {
        self.by_name.get(name)
    }

    /// What a password for an unknown name is compared with, so that it takes as long.
    pub(super) fn dummy_hash(&self) -> &str {
        &self.dummy
    }

    /// Whose keys are not among `held`.
    pub(super) fn without_key_of<'a>(
        &'a self,
        held: &'a [EnclaveKey],
    ) -> impl Iterator<Item = &'a str> {
        self.by_name.iter().filter_map(|(name, user)| {
            let foreign = user.enclave_key.as_ref().is_some_and(|key| !held.contains(key));
            foreign.then_some(name.as_str())
        })
    }

    /// Whether nothing has changed.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.by_name == other.by_name
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }
}

impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.by_name.keys()).finish()
    }
}

fn resolve(name: &str, raw: RawUser) -> Result<(User, u32), InvalidUsers> {
    let hash = raw.password.parse::<bcrypt::HashParts>();
    let cost = hash.map_err(|_| InvalidUsers::Hash(name.to_owned()))?.get_cost();
    if !COSTS.contains(&cost) {
        return Err(InvalidUsers::Cost { name: name.to_owned(), cost });
    }
    if let Some(permission) = raw.permissions.iter().find(|it| !Permissions::is_permission(it)) {
        let (name, permission) = (name.to_owned(), permission.clone());
        return Err(InvalidUsers::Permission { name, permission });
    }
    let enclave_key = match raw.enclave_key {
        None => None,
        Some(text) => Some(text.parse().map_err(|_| InvalidUsers::Key(name.to_owned()))?),
    };
    let user = User {
        password_hash: raw.password,
        permissions: raw.permissions,
        enclave_key,
        revision: 0,
    };
    Ok((user, cost))
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;

    /// Of "pegasys", cost 4.
    fn hash() -> String {
        bcrypt::hash("pegasys", 4).unwrap()
    }

    #[track_caller]
    fn check_error(text: &str, words: &[&str]) {
        let error = Users::read(text, None).unwrap_err();
        let text =
            format!("{error} {}", error.source().map(ToString::to_string).unwrap_or_default());
        for word in words {
            assert!(text.contains(word), "{word:?} is not in {text}");
        }
    }

    #[test]
    fn files_of_besu_are_read() {
        let key = "A1aVtMxLCUHmBVHXoZzzBgPbW/wj5axDpW9X8l91SGo=";
        let text = format!(
            "[Users.user]\npassword = \"{}\"\ngroups = [\"a\"]\nroles = [\"r\"]\n\
             permissions = [\"priv:*\", \"eth:call\"]\nprivacyPublicKey = \"{key}\"\n\
             [Users.\"other one\"]\npassword = \"$2a$10$l3GA7K8g6rJ/Yv.YFSygCuI9byngpEzxgWS9qEg5emYDZomQW7fGC\"\n",
            hash()
        );
        let users = Users::read(&text, None).unwrap();
        assert_eq!(users.len(), 2);
        let user = users.get("user").unwrap();
        assert_eq!(user.enclave_key, Some(key.parse().unwrap()));
        assert_eq!(user.permissions, ["priv:*", "eth:call"]);
        assert_eq!(users.get("other one").unwrap().enclave_key, None);
        assert!(users.get("User").is_none());
        assert_eq!(users.without_key_of(&[]).collect::<Vec<_>>(), ["user"]);
        assert_eq!(users.without_key_of(&[key.parse().unwrap()]).count(), 0);
        // As costly as the costliest, and nobody's.
        assert_eq!(users.dummy_hash().parse::<bcrypt::HashParts>().unwrap().get_cost(), 10);
        assert!(!bcrypt::verify("", users.dummy_hash()).unwrap());
    }

    #[test]
    fn only_who_changed_gets_another_revision() {
        let (a, b) = (hash(), hash());
        let file = |password: &str, permission: &str| {
            format!(
                "[Users.a]\npassword = \"{password}\"\n[Users.b]\npassword = \"{b}\"\n\
                 permissions = [\"{permission}\"]\n"
            )
        };
        let first = Users::read(&file(&a, "priv:*"), None).unwrap();
        let second = Users::read(&file(&hash(), "priv:*"), Some(&first)).unwrap();
        let third = Users::read(&file(&a, "eth:*"), Some(&second)).unwrap();
        let revisions = |users: &Users| ["a", "b"].map(|it| users.get(it).unwrap().revision);
        assert_eq!([&first, &second, &third].map(revisions), [[0, 0], [1, 0], [2, 2]]);
    }

    #[test]
    fn mistakes_are_named() {
        check_error("", &["no user"]);
        check_error("[User.a]\n", &["User"]);
        check_error("[Users.a]\npassword = \"plain\"\n", &["\"a\"", "coterie token password"]);
        check_error("[Users.a]\n", &["password"]);
        let with = |line: &str| format!("[Users.a]\npassword = \"{}\"\n{line}\n", hash());
        check_error(&with("permissions = [\"priv\"]"), &["\"priv\"", "namespace:method"]);
        check_error(&with("privacyPublicKey = \"AA==\""), &["privacyPublicKey", "32 bytes"]);
        check_error(&with("pasword = 1"), &["pasword"]);
        let dear = format!("[Users.a]\npassword = \"{}\"\n", hash().replacen("$04$", "$31$", 1));
        check_error(&dear, &["cost", "31"]);
        let broken = format!("[Users.a]\npassword = \"{}\n", hash());
        let error = Users::read(&broken, None).unwrap_err().source().unwrap().to_string();
        assert!(!error.contains("$2b$"), "{error}");
    }
}
