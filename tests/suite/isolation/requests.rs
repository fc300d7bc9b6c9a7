//! Random requests about what a history has, and about what it has not.

use alloy_primitives::{Address, B256, hex};
use coterie_core::{EnclaveKey, GroupId};
use rand::{Rng as _, SeedableRng as _, seq::IndexedRandom as _};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use super::{classes, scenario::Scenario};
use crate::simulation::{Action, private_transaction};

/// A request.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) method: &'static str,
    pub(super) params: Value,
    /// The group that it is about.
    pub(super) group: Option<GroupId>,
    /// The block that it names by number.
    pub(super) number: Option<u64>,
    /// The filter whose id stands where the parameters say [`FILTER`].
    pub(super) filter: Option<usize>,
}

/// Stands for the id of a filter, which every node chooses itself.
pub(super) const FILTER: &str = "FILTER";

/// Where requests come from.
pub(super) struct Requests<'a> {
    scenario: &'a Scenario,
    random: ChaCha8Rng,
    methods: Vec<&'static str>,
    next: usize,
}

/// `value()` of the emitter.
/// So many markers come last.
const LAST: usize = 6;
const VALUE: &str = "0x3fa4f245";
/// Getters of the management contract: `canExecute()`, `getParticipants()`, `getVersion()`.
const GETTERS: [&str; 3] = ["0x78b90337", "0x5aa68ac0", "0x0d8e6e2c"];

impl<'a> Requests<'a> {
    pub(super) fn new(seed: u64, scenario: &'a Scenario) -> Self {
        let random = ChaCha8Rng::seed_from_u64(seed ^ 0x5eed);
        Self { scenario, random, methods: classes::compared(), next: 0 }
    }

    /// The next method in turn, with random parameters.
    pub(super) fn next(&mut self, tenant: usize) -> Request {
        let method = self.methods[self.next % self.methods.len()];
        self.next += 1;
        self.of(method, tenant)
    }

    /// A method with random parameters; with none, if its answers are not compared.
    pub(super) fn of(&mut self, method: &'static str, tenant: usize) -> Request {
        let mut request =
            Request { method, params: json!([]), group: None, number: None, filter: None };
        match method {
            "privx_findFlexiblePrivacyGroup"
            | "privx_findOnChainPrivacyGroup"
            | "privx_findOnchainPrivacyGroup" => {
                request.params = json!([self.keys(tenant)]);
            }
            "priv_getTransactionCount" => {
                let group = self.group(tenant, &mut request);
                request.params = json!([self.account(), group]);
            }
            "priv_getEeaTransactionCount" => {
                let from = self.keys(tenant).first().cloned();
                request.params = json!([self.account(), from, self.keys(tenant)]);
            }
            "priv_call" => {
                let group = self.group(tenant, &mut request);
                let block = self.block(tenant, &mut request);
                let data = match self.random.random_bool(0.5) {
                    true => VALUE,
                    false => GETTERS.choose(&mut self.random).expect("a getter"),
                };
                request.params = json!([group, {"to": self.contract(), "data": data}, block]);
            }
            "priv_getCode" | "priv_getBalance" | "priv_getStorageAt" | "priv_getProof"
            | "priv_estimateGas" => request.params = self.of_state(tenant, &mut request),
            "priv_traceTransaction" => {
                let marker = self.marker(&mut request);
                // Of its group, mostly.
                let own = request.group.filter(|_| self.random.random_bool(0.5));
                let group =
                    own.map_or_else(|| self.group(tenant, &mut request), |id| id.to_base64());
                request.params = json!([group, marker]);
            }
            "priv_getBlockTransactions" => {
                let group = self.group(tenant, &mut request);
                let limit = self.random.random_range(1..=20);
                let ignored = self.random.random_bool(0.3);
                request.params = json!([group, {"limit": limit, "ignored": ignored}]);
            }
            "priv_newFilter" => {
                let group = self.group(tenant, &mut request);
                request.params = json!([group, self.filter()]);
            }
            "priv_getFilterChanges" | "priv_getFilterLogs" | "priv_uninstallFilter" => {
                let group = self.group(tenant, &mut request);
                let filters = self.scenario.filters().len();
                request.filter = (filters > 0).then(|| self.random.random_range(0..filters));
                request.params = json!([group, FILTER]);
            }
            "priv_debugGetStateRoot" => {
                let group = self.group(tenant, &mut request);
                let block = self.block(tenant, &mut request);
                request.params = json!([group, block]);
            }
            "priv_getLogs" => {
                let group = self.group(tenant, &mut request);
                request.params = json!([group, self.filter()]);
            }
            "eea_sendRawTransaction" | "priv_distributeRawTransaction" => {
                self.group(tenant, &mut request);
                request.params = json!([self.refused(tenant, &request)]);
            }
            "priv_getTransactionReceipt" | "priv_getPrivateTransaction" | "priv_getTransaction" => {
                request.params = json!([self.marker(&mut request)]);
            }
            _ => {}
        }
        request
    }

    /// What the state after a block is asked.
    fn of_state(&mut self, tenant: usize, request: &mut Request) -> Value {
        let group = self.group(tenant, request);
        let block = self.block(tenant, request);
        let contract = self.contract();
        match request.method {
            "priv_getStorageAt" => json!([group, contract, "0x0", block]),
            "priv_getProof" => json!([group, contract, ["0x0", "0x5"], block]),
            "priv_estimateGas" => json!([group, {"to": contract, "data": VALUE}, block]),
            _ => json!([group, contract, block]),
        }
    }

    /// A group: more often one to which the tenant has a rare relation.
    fn group(&mut self, tenant: usize, request: &mut Request) -> String {
        let wanted = self.random.random_range(0..4);
        let scenario = self.scenario;
        let fits = |id: GroupId| match (wanted, scenario.relation(tenant, id)) {
            (0, classes::Relation::Member)
            | (1, classes::Relation::Removed)
            | (2, classes::Relation::ReAdded) => true,
            (3, relation) => relation == classes::Relation::Never,
            _ => false,
        };
        let groups: Vec<GroupId> = self.scenario.groups.iter().map(|group| group.id).collect();
        let fitting: Vec<GroupId> = groups.iter().copied().filter(|id| fits(*id)).collect();
        let id = match fitting.choose(&mut self.random) {
            Some(id) if !self.random.random_bool(0.05) => *id,
            _ if self.random.random_bool(0.5) => *groups.choose(&mut self.random).expect("a group"),
            _ => GroupId(B256::from(self.random.random::<[u8; 32]>())),
        };
        request.group = Some(id);
        id.to_base64()
    }

    fn block(&mut self, tenant: usize, request: &mut Request) -> Value {
        let head = self.scenario.world.chain.head().number;
        let removal = request.group.and_then(|group| self.scenario.removal(tenant, group));
        let number = match (self.random.random_range(0..10), removal) {
            (0, _) => return json!("latest"),
            (1, _) => return json!("pending"),
            (2, _) => return json!("finalized"),
            (3, _) => return json!("safe"),
            (4, _) => 0,
            // Around the removal is where mistakes are.
            (5..8, Some(removal)) => {
                self.random.random_range(removal.saturating_sub(1)..=removal + 1)
            }
            _ => self.random.random_range(0..=head + 2),
        };
        request.number = Some(number);
        match self.random.random_bool(0.1) && number == 0 {
            true => json!("earliest"),
            false => json!(format!("0x{number:x}")),
        }
    }

    fn filter(&mut self) -> Value {
        let head = self.scenario.world.chain.head();
        let mut filter = serde_json::Map::new();
        if self.random.random_bool(0.2) {
            let number = self.random.random_range(0..=head.number);
            let at = self
                .scenario
                .world
                .canonical()
                .iter()
                .find(|it| it.at.number == number)
                .map(|it| it.at.hash);
            filter.insert("blockHash".into(), json!(at.unwrap_or(head.hash)));
        } else {
            for end in ["fromBlock", "toBlock"] {
                match self.random.random_range(0..4) {
                    0 => filter.insert(end.into(), json!("latest")),
                    1 => filter.insert(end.into(), json!("earliest")),
                    2 => None,
                    _ => {
                        let number = self.random.random_range(0..=head.number + 2);
                        filter.insert(end.into(), json!(format!("0x{number:x}")))
                    }
                };
            }
        }
        if self.random.random_bool(0.3) {
            filter.insert("address".into(), json!(self.contract()));
        }
        Value::Object(filter)
    }

    fn contract(&mut self) -> Address {
        let emitters = self.scenario.groups.iter().flat_map(|group| &group.emitters);
        let mut all: Vec<Address> = emitters.copied().collect();
        all.extend([coterie_core::management::MANAGEMENT_PROXY; 2]);
        all.push(Address::repeat_byte(7));
        *all.choose(&mut self.random).expect("one")
    }

    fn account(&mut self) -> String {
        let group = self.scenario.groups.choose(&mut self.random).expect("a group");
        hex::encode_prefixed(self.scenario.world.account(group.owner).address())
    }

    /// A transaction that is refused whoever sends it: its nonce was used when the group was
    /// created. It creates no group; that an id is known may be told then.
    fn refused(&mut self, tenant: usize, request: &Request) -> String {
        let group = request.group.expect("a group");
        let known = self.scenario.groups.iter().find(|known| known.id == group);
        let account = self.scenario.world.account(known.map_or(1, |known| known.owner));
        let from = match self.random.random_bool(0.8) {
            true => &self.scenario.tenants[tenant],
            false => self.scenario.tenants.choose(&mut self.random).expect("a tenant"),
        };
        let action = match self.random.random_bool(0.5) {
            true => Action::Lock,
            false => Action::Store(Address::repeat_byte(7), 7),
        };
        let signed = private_transaction(group, from, &account, 0, &action);
        hex::encode_prefixed(signed.encode())
    }

    fn keys(&mut self, tenant: usize) -> Vec<String> {
        let mut keys = Vec::new();
        if self.random.random_bool(0.8) {
            keys.push(text(&self.scenario.tenants[tenant]));
        }
        if self.random.random_bool(0.5) {
            keys.push(text(self.scenario.tenants.choose(&mut self.random).expect("a tenant")));
        }
        keys
    }

    fn marker(&mut self, request: &mut Request) -> B256 {
        // The last ones more often: what happens only sometimes happens at the end.
        let markers = &self.scenario.markers;
        let from = match self.random.random_bool(0.3) {
            true => markers.len().saturating_sub(LAST),
            false => 0,
        };
        let marked = *markers[from..].choose(&mut self.random).expect("a marker");
        if self.random.random_bool(0.02) {
            return B256::from(self.random.random::<[u8; 32]>());
        }
        request.group = Some(marked.group);
        request.number = Some(marked.number);
        marked.hash
    }
}

fn text(key: &EnclaveKey) -> String {
    key.to_base64()
}
