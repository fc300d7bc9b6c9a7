//! Filters: watchers that callers ask by an id, instead of being told.
//!
//! A filter belongs to the caller that made it, for one group; for everybody else its id is
//! unknown. It is gone when nobody asked for some time, or when its owner is a member no more.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use alloy_primitives::FixedBytes;
use coterie_core::{EnclaveKey, GroupId};
use parking_lot::Mutex;
use tokio::sync::broadcast::error::RecvError;

use super::{
    GroupEvent, LogFilter, PrivateLog, ReadError, Service, Tenant, WatchError, Watcher,
    types::Reach,
};
use crate::state::log_bytes;

/// How long a filter lives after it was asked last.
const LIFETIME: Duration = Duration::from_secs(600);
/// Bytes of logs in one answer, about: the rest comes with the next one.
const CHANGES_BYTES: usize = 4 << 20;

/// The id of a filter: chosen at random.
pub type FilterId = FixedBytes<16>;

/// The filters that exist.
#[derive(Debug, Default)]
pub(super) struct Filters {
    installed: Mutex<HashMap<FilterId, Installed>>,
}

#[derive(Clone, Debug)]
struct Installed {
    tenant: Tenant,
    group: GroupId,
    filter: LogFilter,
    /// One answer at a time, so that no log is told twice.
    watcher: Arc<tokio::sync::Mutex<Watcher>>,
    asked: Instant,
}

impl Filters {
    fn install(
        &self,
        id: FilterId,
        watcher: Watcher,
        (max, per_tenant_max): (usize, usize),
        now: Instant,
    ) -> Result<(), WatchError> {
        let mut installed = self.installed.lock();
        installed.retain(|_, it| it.lives(now));
        if installed.len() >= max {
            return Err(WatchError::TooMany { limit: max, of: "filters" });
        }
        let of_tenant = installed.values().filter(|it| it.tenant == *watcher.tenant()).count();
        if of_tenant >= per_tenant_max {
            let of = "filters of one caller";
            return Err(WatchError::TooMany { limit: per_tenant_max, of });
        }
        let filter = Installed {
            tenant: watcher.tenant().clone(),
            group: watcher.group(),
            filter: watcher.filter().clone(),
            watcher: Arc::new(tokio::sync::Mutex::new(watcher)),
            asked: now,
        };
        installed.insert(id, filter);
        Ok(())
    }

    /// The caller's filter of this group; from now on it lives its whole time again.
    fn find(
        &self,
        id: FilterId,
        tenant: &Tenant,
        group: GroupId,
        now: Instant,
    ) -> Result<Installed, WatchError> {
        let mut installed = self.installed.lock();
        let found = installed.get_mut(&id).filter(|it| it.is_of(tenant, group) && it.lives(now));
        let found = found.ok_or(WatchError::FilterUnknown)?;
        found.asked = now;
        Ok(found.clone())
    }

    fn remove(&self, id: FilterId, tenant: &Tenant, group: GroupId, now: Instant) -> bool {
        let mut installed = self.installed.lock();
        let found = installed.get(&id).is_some_and(|it| it.is_of(tenant, group) && it.lives(now));
        found && installed.remove(&id).is_some()
    }

    /// Removes a caller's filters of a group.
    fn remove_all(&self, tenant: &Tenant, group: GroupId) {
        self.installed.lock().retain(|_, it| !it.is_of(tenant, group));
    }

    /// Removes the filters of those who are members no more.
    fn on_event(&self, event: &GroupEvent) {
        let left = |key: &EnclaveKey| event.before.has_member(key) && !event.after.has_member(key);
        self.installed.lock().retain(|_, it| {
            it.group != event.group || it.tenant.reach == Reach::Node || !left(&it.tenant.key)
        });
    }

    /// The callers who have filters, with the groups.
    fn owners(&self) -> Vec<(Tenant, GroupId)> {
        self.installed.lock().values().map(|it| (it.tenant.clone(), it.group)).collect()
    }
}

impl Installed {
    fn is_of(&self, tenant: &Tenant, group: GroupId) -> bool {
        self.tenant == *tenant && self.group == group
    }

    fn lives(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.asked) < LIFETIME
    }
}

impl Service {
    /// Makes a filter of the group's logs; its id.
    ///
    /// # Errors
    ///
    /// [`WatchError::TooMany`], and when the caller may not follow the group.
    pub fn new_filter(
        &self,
        tenant: &Tenant,
        group: GroupId,
        filter: LogFilter,
    ) -> Result<FilterId, WatchError> {
        let watcher = self.watch(tenant, group, filter)?;
        let mut id = FilterId::ZERO;
        getrandom::fill(id.as_mut_slice()).map_err(|_| WatchError::NoEntropy)?;
        let limits = (self.options.filters_max, self.options.filters_per_tenant_max);
        self.filters.install(id, watcher, limits, Instant::now())?;
        Ok(id)
    }

    /// What changed since the filter was asked last: logs that a reorg took away, newest first, and
    /// new ones. With very many, the rest comes with the next call.
    ///
    /// # Errors
    ///
    /// [`WatchError::FilterUnknown`], and when the caller may not follow the group; then its
    /// filters of the group are gone.
    pub async fn filter_changes(
        &self,
        tenant: &Tenant,
        group: GroupId,
        id: FilterId,
    ) -> Result<Vec<PrivateLog>, WatchError> {
        let found = self.filter(tenant, group, id)?;
        let mut watcher = found.watcher.lock().await;
        // Another one until everything is read: an answer that is given up changes nothing.
        let mut reached = watcher.clone();
        let (mut logs, mut bytes) = (Vec::new(), 0);
        while logs.len() < self.options.logs_max && bytes < CHANGES_BYTES {
            let news = match self.news(&mut reached) {
                Err(error @ WatchError::Forgotten) => {
                    self.filters.remove(id, tenant, group, Instant::now());
                    return Err(error);
                }
                news => news?,
            };
            bytes += news.logs.iter().map(|it| log_bytes(&it.log)).sum::<usize>();
            logs.extend(news.logs);
            if !news.more {
                break;
            }
            // Reading does not wait: without this nothing could end it, or come in between.
            tokio::task::yield_now().await;
        }
        *watcher = reached;
        if logs.is_empty() {
            // Not only now.
            self.view.following.check().map_err(ReadError::from)?;
        }
        Ok(logs)
    }

    /// All logs of the filter's range, as [`Service::logs`] gives them; what changed since the
    /// filter was asked last stays to be told.
    ///
    /// # Errors
    ///
    /// As [`Self::filter_changes`]; and for more logs than an answer may have.
    pub async fn filter_logs(
        &self,
        tenant: &Tenant,
        group: GroupId,
        id: FilterId,
    ) -> Result<Vec<PrivateLog>, WatchError> {
        let found = self.filter(tenant, group, id)?;
        Ok(self.logs(tenant, group, found.filter).await?)
    }

    /// Removes a filter; whether the caller had it.
    ///
    /// # Errors
    ///
    /// When the caller may not follow the group.
    pub fn uninstall_filter(
        &self,
        tenant: &Tenant,
        group: GroupId,
        id: FilterId,
    ) -> Result<bool, WatchError> {
        self.may_have_filters(tenant, group)?;
        Ok(self.filters.remove(id, tenant, group, Instant::now()))
    }

    /// Removes filters when their owners are removed; ends with the follower.
    pub async fn watch_filters(&self) {
        let mut events = self.view.following.events.subscribe();
        let mut followed = self.followed();
        loop {
            tokio::select! {
                event = events.recv() => match event {
                    Ok(event) => self.filters.on_event(&event),
                    // Some were missed: who may still watch is asked anew.
                    Err(RecvError::Lagged(_)) => {
                        for (tenant, group) in self.filters.owners() {
                            // What fails is found out when the filter is asked.
                            let _ = self.may_have_filters(&tenant, group);
                        }
                    }
                    Err(RecvError::Closed) => return,
                },
                changed = followed.changed() => if changed.is_err() {
                    return;
                },
            }
        }
    }

    fn filter(
        &self,
        tenant: &Tenant,
        group: GroupId,
        id: FilterId,
    ) -> Result<Installed, WatchError> {
        self.may_have_filters(tenant, group)?;
        self.filters.find(id, tenant, group, Instant::now())
    }

    /// Whether the caller may follow the group; its filters are gone when it may not.
    fn may_have_filters(&self, tenant: &Tenant, group: GroupId) -> Result<(), ReadError> {
        let may = self.may_watch(tenant, group);
        if matches!(may, Err(ReadError::NotAMember(_))) {
            self.filters.remove_all(tenant, group);
        }
        may
    }
}
