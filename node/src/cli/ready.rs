//! What a development network tells people (a table) and programs (a JSON file).

use std::{
    fmt, fs,
    io::{self, Write},
    path::Path,
};

use alloy_primitives::{Address, B256};
use serde::Serialize;

/// Everything that a client of a development network needs.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Ready {
    /// The public chain.
    pub(super) chain: ReadyChain,
    /// The members, in order.
    pub(super) members: Vec<ReadyMember>,
    /// Funded test accounts. Their keys are published: worth nothing elsewhere.
    pub(super) accounts: Vec<ReadyAccount>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ReadyChain {
    pub(super) url: String,
    pub(super) chain_id: u64,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ReadyMember {
    pub(super) name: String,
    pub(super) rpc: String,
    /// Base64.
    pub(super) enclave_key: String,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ReadyAccount {
    pub(super) address: Address,
    pub(super) private_key: B256,
}

/// Removes the file of an earlier network, if there is one.
///
/// # Errors
///
/// The disk's.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

impl Ready {
    /// Writes the file as a whole: a reader sees nothing or everything.
    ///
    /// # Errors
    ///
    /// The disk's.
    pub(super) fn write(&self, path: &Path) -> io::Result<()> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.tmp", std::process::id()));
        let temporary = path.with_file_name(name);
        let json = serde_json::to_vec_pretty(self)?;
        let mut file = fs::File::create(&temporary)?;
        file.write_all(&json)?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        fs::rename(&temporary, path).inspect_err(|_| {
            // What could not be renamed is of no use; that it stays is harmless.
            let _ = fs::remove_file(&temporary);
        })
    }
}

impl fmt::Display for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = self.members.iter().map(|it| it.rpc.len()).chain([self.chain.url.len()]).max();
        let url = url.unwrap_or_default();
        writeln!(f, "{:<8}{:<url$}  enclave key", "", "JSON-RPC")?;
        writeln!(f, "{:<8}{:<url$}  (chain id {})", "chain", self.chain.url, self.chain.chain_id)?;
        for member in &self.members {
            writeln!(f, "{:<8}{:<url$}  {}", member.name, member.rpc, member.enclave_key)?;
        }
        writeln!(f, "\naccounts with ether (published test keys)")?;
        for account in &self.accounts {
            writeln!(f, "{}  {}", account.address, account.private_key)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn ready() -> Ready {
        Ready {
            chain: ReadyChain { url: "http://127.0.0.1:8545".into(), chain_id: 1337 },
            members: vec![ReadyMember {
                name: "A".into(),
                rpc: "http://127.0.0.1:8546".into(),
                enclave_key: "A1aVtMxLCUHmBVHXoZzzBgPbW/wj5axDpW9X8l91SGo=".into(),
            }],
            accounts: vec![ReadyAccount {
                address: Address::repeat_byte(1),
                private_key: B256::repeat_byte(2),
            }],
        }
    }

    #[test]
    fn the_file_has_what_clients_need_and_nothing_else_is_left() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ready.json");
        fs::write(&path, "old").unwrap();
        ready().write(&path).unwrap();
        let got: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let want = json!({
            "chain": {"url": "http://127.0.0.1:8545", "chainId": 1337},
            "members": [{
                "name": "A",
                "rpc": "http://127.0.0.1:8546",
                "enclaveKey": "A1aVtMxLCUHmBVHXoZzzBgPbW/wj5axDpW9X8l91SGo=",
            }],
            "accounts": [{
                "address": Address::repeat_byte(1),
                "privateKey": B256::repeat_byte(2),
            }],
        });
        assert_eq!(got, want);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_directory_that_is_not_there_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        assert!(ready().write(&directory.path().join("no/ready.json")).is_err());
    }

    #[test]
    fn the_table_names_every_member() {
        let table = ready().to_string();
        for word in ["chain id 1337", "A  ", "http://127.0.0.1:8546", "A1aVtMx", "0x0202"] {
            assert!(table.contains(word), "{word:?} is not in:\n{table}");
        }
    }
}
