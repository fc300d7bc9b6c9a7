//! Who follows a group's logs while its history and its members change.

use std::time::Instant;

use coterie_node::service::{
    LogFilter, LogRange, PrivateLog, ReadError, Tenant, WatchError, Watcher,
};

use super::{DEADLINE, GROUP, add, draft, group, run, send};
use crate::simulation::{Action, World};

const EVERYTHING: LogFilter =
    LogFilter { range: LogRange::EVERYTHING, addresses: Vec::new(), topics: Vec::new() };

/// Everything that is new to a watcher of a member's node.
fn news(
    world: &World,
    member: usize,
    watcher: &mut Watcher,
) -> Result<Vec<PrivateLog>, WatchError> {
    let mut logs = Vec::new();
    loop {
        let news = world.members[member].node().service.news(watcher)?;
        logs.extend(news.logs);
        if !news.more {
            return Ok(logs);
        }
    }
}

#[test]
fn a_history_that_is_taken_over_is_told_like_new_logs() {
    run(async {
        let mut world = World::new(3);
        world.catch_up().await;
        let service = &world.members[2].node().service;
        let mut watcher = service.watch(&service.default_tenant(), GROUP, EVERYTHING).unwrap();
        group(&mut world, &[0, 1]).await;
        assert_eq!(news(&world, 2, &mut watcher).unwrap(), []);
        add(&mut world, 0, 2).await;
        let deadline = Instant::now() + DEADLINE;
        while world.members[2].node().record(GROUP).is_none() {
            world.catch_up().await;
            assert!(Instant::now() < deadline, "not joined");
            world.let_tasks_work().await;
        }
        let told = news(&world, 2, &mut watcher).unwrap();
        let service = &world.members[2].node().service;
        let read = service.logs(&service.default_tenant(), GROUP, EVERYTHING).await.unwrap();
        assert!(!read.is_empty());
        assert_eq!(told, read);
    });
}

#[test]
fn a_watcher_ends_with_its_membership() {
    run(async {
        let mut world = World::new(2);
        let emitter = group(&mut world, &[0, 1]).await;
        let removed = Tenant::holder(world.members[1].key.clone());
        let service = &world.members[1].node().service;
        let mut watcher = service.watch(&removed, GROUP, EVERYTHING).unwrap();
        let filter = service.new_filter(&removed, GROUP, EVERYTHING).unwrap();
        let store = draft(&world, 0, Action::Store(emitter, 2));
        send(&mut world, &store).await;
        assert_eq!(news(&world, 1, &mut watcher).unwrap().len(), 1);
        let service = &world.members[1].node().service;
        assert_eq!(service.filter_changes(&removed, GROUP, filter).await.unwrap().len(), 1);

        let remove = draft(&world, 0, Action::Remove(removed.key.clone()));
        send(&mut world, &remove).await;
        let not_a_member =
            |error: WatchError| matches!(error, WatchError::Read(ReadError::NotAMember(GROUP)));
        assert!(not_a_member(news(&world, 1, &mut watcher).unwrap_err()));
        let service = &world.members[1].node().service;
        let changes = service.filter_changes(&removed, GROUP, filter).await;
        assert!(not_a_member(changes.unwrap_err()));
        assert!(not_a_member(service.watch(&removed, GROUP, EVERYTHING).unwrap_err()));
    });
}
