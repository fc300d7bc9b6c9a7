//! Tenants of one node: each sees exactly what it would see on a node of its own.
//!
//! One node holds the keys of three tenants. Beside it each tenant has a node that holds its key
//! only, on the same chain, to which the same payloads are brought: what that node does not have,
//! the tenant must not learn. After a history of groups, additions and removals that a seed chooses,
//! random requests go to both nodes, in the tenant's name, and must have the same answer, byte for
//! byte. What a relation to a group allows at all is checked besides.
//!
//! The methods come from the node's table, so a new one fails here until it is classified.
//! `COTERIE_SEED=n` runs one seed; `COTERIE_CASES=n` runs seeds until there were n cases.

mod classes;
mod requests;
mod scenario;

use std::collections::BTreeMap;

use self::{
    classes::{Relation, check},
    requests::Requests,
    scenario::Scenario,
};

/// Cases of the gate.
const CASES: u64 = 50_000;
/// Requests of each tenant in the history of one seed.
const REQUESTS: u64 = 250;
/// Cases that each method must have with each relation in the gate.
const CELL_MIN: u64 = 100;

#[expect(clippy::disallowed_methods, reason = "which seeds run is the caller's choice")]
fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn a_tenant_sees_what_it_would_see_on_a_node_of_its_own() {
    let one = setting("COTERIE_SEED");
    let wanted = setting("COTERIE_CASES").unwrap_or(CASES);
    let mut cells: BTreeMap<(&'static str, Relation), u64> = BTreeMap::new();
    let mut cases = 0;
    let mut seed = one.unwrap_or(0);
    if one.is_some() {
        let log = tracing_subscriber::fmt().with_env_filter("coterie_node=debug").with_ansi(false);
        let _ = log.try_init();
    }
    while cases < wanted {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        cases += runtime.block_on(one_seed(seed, &mut cells));
        if one.is_some() {
            return;
        }
        seed += 1;
    }
    println!("{cases} cases of {seed} seeds");
    for method in classes::compared() {
        for relation in classes::relations(method) {
            let count = cells.get(&(method, *relation)).copied().unwrap_or_default();
            assert!(count >= CELL_MIN, "{method} with {relation:?} has {count} cases only");
        }
    }
}

/// The history of a seed, and requests after it; how many.
async fn one_seed(seed: u64, cells: &mut BTreeMap<(&'static str, Relation), u64>) -> u64 {
    let scenario = Scenario::play(seed).await;
    let mut requests = Requests::new(seed, &scenario);
    let mut cases = 0;
    for tenant in 0..scenario::TENANTS {
        for _ in 0..REQUESTS {
            let request = requests.next(tenant);
            let shared = scenario.answer(scenario.shared(), tenant, &request).await;
            let alone = scenario.answer(scenario.alone(tenant), tenant, &request).await;
            let said = || format!("seed {seed}, tenant {tenant}: {request:#?}\n{}", scenario.log());
            assert_eq!(shared, alone, "shared and alone differ: {}", said());
            let relation = check(&scenario, tenant, &request, &shared);
            *cells.entry((request.method, relation)).or_default() += 1;
            cases += 1;
        }
    }
    cases
}
