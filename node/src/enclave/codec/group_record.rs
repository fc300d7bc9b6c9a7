//! The record that Tessera pushes when an off-chain group is made or deleted (enclave
//! specification, 2.6). We read it to answer that such groups are not served; nothing is stored.

use alloy_primitives::Bytes;
use coterie_core::{EnclaveKey, GroupId};

use super::{CodecError, Reader, put_array, put_field};

/// Kind of an off-chain group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupType {
    /// Made of `privateFor` and `privateFrom`.
    Legacy,
    /// Made by `priv_createPrivacyGroup`.
    Pantheon,
    /// Of GoQuorum; its id is its name.
    Resident,
}

/// Whether a group is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupState {
    /// In use.
    Active,
    /// Deleted.
    Deleted,
}

/// An off-chain group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupRecord {
    /// Name.
    pub name: String,
    /// Description.
    pub description: String,
    /// Members' keys, in the order of the request that made it.
    pub members: Vec<[u8; 32]>,
    /// What makes two groups of the same members distinct; 20 bytes.
    pub seed: Bytes,
    /// Kind.
    pub kind: GroupType,
    /// State.
    pub state: GroupState,
}

impl GroupRecord {
    /// Its id, computed as the receiver of a record does; `None` for a resident group.
    pub fn id(&self) -> Option<GroupId> {
        let members: Vec<_> = self.members.iter().map(|key| EnclaveKey::Nacl(*key)).collect();
        match self.kind {
            GroupType::Legacy => Some(GroupId::legacy(&members)),
            GroupType::Pantheon => Some(GroupId::off_chain(&members, &self.seed)),
            GroupType::Resident => None,
        }
    }

    /// Reads a record; every accepted input encodes to itself.
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut reader = Reader(bytes);
        let record = Self {
            name: reader.text("the name")?,
            description: reader.text("the description")?,
            members: reader.array("the members")?,
            seed: Bytes::copy_from_slice(reader.field("the seed")?),
            kind: match reader.field("the type")? {
                b"LEGACY" => GroupType::Legacy,
                b"PANTHEON" => GroupType::Pantheon,
                b"RESIDENT" => GroupType::Resident,
                _ => return Err(CodecError::Text("the type")),
            },
            state: match reader.field("the state")? {
                b"ACTIVE" => GroupState::Active,
                b"DELETED" => GroupState::Deleted,
                _ => return Err(CodecError::Text("the state")),
            },
        };
        reader.finish()?;
        Ok(record)
    }

    /// Writes a record.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_field(&mut out, self.name.as_bytes());
        put_field(&mut out, self.description.as_bytes());
        put_array(&mut out, &self.members);
        put_field(&mut out, &self.seed);
        put_field(
            &mut out,
            match self.kind {
                GroupType::Legacy => b"LEGACY",
                GroupType::Pantheon => b"PANTHEON",
                GroupType::Resident => b"RESIDENT",
            },
        );
        put_field(
            &mut out,
            match self.state {
                GroupState::Active => b"ACTIVE",
                GroupState::Deleted => b"DELETED",
            },
        );
        out
    }
}
