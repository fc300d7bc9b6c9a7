//! The methods of subscriptions, which a WebSocket has: `priv_subscribe` and `priv_unsubscribe`,
//! and `eth_subscribe` and `eth_unsubscribe`, which the chain answers (protocol specification, 7.15).
//!
//! `priv_subscribe` knows logs only, and of a filter `address` and `topics`. A subscription whose
//! caller is a member no more ends with a notification that has an `error` where others have a
//! `result`: otherwise it would look as if there was nothing new.

use std::sync::Arc;

use alloy_primitives::U64;
use coterie_core::GroupId;
use jsonrpsee_types::ErrorObjectOwned;
use serde::Serialize;
use serde_json::{Value, value::RawValue};

use super::{
    auth::Place,
    error::{self, Refusal},
    objects,
    params::{self, Params},
    results::LogEntry,
};
use crate::{
    jsonrpc::{
        self, Answer,
        socket::{CloseReason, Subscriber, Turn},
    },
    service::{LogFilter, LogRange, ReadError, Service, Tenant, WatchError, Watcher},
};

/// The method of notifications of private logs.
const NOTIFICATION: &str = "priv_subscription";

/// A request about subscriptions.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the method of this name")]
pub enum Request {
    Subscribe { group: GroupId, filter: LogFilter },
    Unsubscribe { group: GroupId, id: u64 },
}

/// What a subscription is to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Topic {
    /// A group's logs.
    Group(GroupId),
    /// Something of the chain.
    Chain,
}

/// Reads `[group, "logs", {address?, topics?}]`.
pub(super) fn subscribe(params: &Params) -> Result<super::methods::Request, Refusal> {
    let refuse = |expected| Refusal::Subscription { expected };
    let group = group(params)?;
    if params.at(1).and_then(Value::as_str) != Some("logs") {
        return Err(refuse("only \"logs\" can be subscribed to"));
    }
    let mut object = match params.at(2) {
        None => serde_json::Map::new(),
        Some(Value::Object(object)) => object.clone(),
        Some(_) => return Err(refuse("a filter object is expected: address, topics")),
    };
    // They mean nothing here: what comes is told.
    object.retain(|name, _| matches!(name.as_str(), "address" | "addresses" | "topics"));
    let filter = objects::filter(Some(&Value::Object(object)))
        .map_err(|_| refuse("a filter object is expected: address, topics"))?;
    let filter = LogFilter { range: LogRange::EVERYTHING, ..filter };
    Ok(super::methods::Request::Subscription(Request::Subscribe { group, filter }))
}

/// Reads `[group, id]`.
pub(super) fn unsubscribe(params: &Params) -> Result<super::methods::Request, Refusal> {
    let group = group(params)?;
    let id = subscription_id(params.at(1))?;
    Ok(super::methods::Request::Subscription(Request::Unsubscribe { group, id }))
}

fn group(params: &Params) -> Result<GroupId, Refusal> {
    let expected = "a privacy group id is expected: 32 bytes in base64";
    let group = params.at(0).and_then(Value::as_str).and_then(|text| text.parse().ok());
    group.ok_or(Refusal::Subscription { expected })
}

fn subscription_id(value: Option<&Value>) -> Result<u64, Refusal> {
    let expected = "a subscription's id is expected, as it was answered";
    let text = value.and_then(Value::as_str);
    let id = text.ok_or(Refusal::Subscription { expected })?;
    let number = params::quantity(&Value::String(id.to_owned()));
    // Text that is no number is the id of none.
    Ok(number.and_then(|it| u64::try_from(it).ok()).unwrap_or_default())
}

/// Does what was asked, on the connection that asked. A subscription holds its place.
pub(super) fn execute(
    service: &Arc<Service>,
    tenant: &Tenant,
    (turn, place): (&Turn<Topic>, impl FnOnce() -> Result<Place, Refusal>),
    request: Request,
) -> Answer {
    match request {
        Request::Subscribe { group, filter } => {
            let watcher = service.watch(tenant, group, filter);
            let watcher = watcher.map_err(|it| failed(&it))?;
            let (service, place) = (Arc::clone(service), place()?);
            let id = turn.subscribe(Topic::Group(group), |to| async move {
                let _held = place;
                follow(service, watcher, to).await;
            });
            answer(id)
        }
        Request::Unsubscribe { group, id } => {
            service.may_watch(tenant, group).map_err(|it| failed(&it.into()))?;
            ended(turn.unsubscribe(id, &Topic::Group(group)))
        }
    }
}

/// `eth_subscribe`: the chain's, under an id of this connection. It holds its place.
pub(super) async fn subscribe_to_chain(
    service: &Service,
    tenant: Option<&Tenant>,
    (turn, place): (&Turn<Topic>, Place),
    params: Option<&RawValue>,
) -> Answer {
    let subscription = service.subscribe_to_chain(tenant, params).await;
    let subscription = subscription.map_err(|it| error::forwarded(&it))?;
    answer(turn.subscribe(Topic::Chain, |to| async move {
        let _held = place;
        subscription.pass_on(to).await;
    }))
}

/// `eth_unsubscribe`.
pub(super) fn unsubscribe_from_chain(turn: &Turn<Topic>, params: Option<&RawValue>) -> Answer {
    let params = Params::new(params)?;
    let id = subscription_id(params.at(0))?;
    ended(turn.unsubscribe(id, &Topic::Chain))
}

fn answer(id: Result<u64, jsonrpc::socket::TooManySubscriptions>) -> Answer {
    let id = id.map_err(|it| Refusal::TooManySubscriptions(it.0))?;
    jsonrpc::result(&U64::from(id))
}

fn ended(was_there: bool) -> Answer {
    if was_there { jsonrpc::result(&true) } else { Err(Refusal::SubscriptionUnknown.into()) }
}

fn failed(cause: &WatchError) -> ErrorObjectOwned {
    // A subscription is no filter: nothing says that.
    error::watch("Subscription not found", cause)
}

/// The parameters of a notification.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Notification<'a> {
    subscription: U64,
    privacy_group_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<LogEntry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a ErrorObjectOwned>,
}

/// Tells a group's logs as they come, until the connection ends or the caller may not see them.
async fn follow(service: Arc<Service>, mut watcher: Watcher, to: Subscriber) {
    let mut followed = service.followed();
    let group = watcher.group().to_base64();
    let tell = |result, error| {
        let (subscription, privacy_group_id) = (U64::from(to.id()), group.as_str());
        Notification { subscription, privacy_group_id, result, error }
    };
    loop {
        // Before reading: what is followed meanwhile is seen as a change.
        followed.borrow_and_update();
        match service.news(&mut watcher) {
            Ok(news) => {
                for log in news.logs {
                    let told = tell(Some(LogEntry::from(log)), None);
                    if to.notify(NOTIFICATION, &told).await.is_err() {
                        return;
                    }
                }
                if news.more {
                    tokio::task::yield_now().await;
                    continue;
                }
            }
            Err(error) if is_for_good(&error) => {
                let error = failed(&error);
                let _ = to.notify(NOTIFICATION, &tell(None, Some(&error))).await;
                return;
            }
            // The chain, or a disk: the next block tries again.
            Err(error) => tracing::debug!(%error, "logs cannot be told now"),
        }
        if followed.changed().await.is_err() {
            // Nothing comes any more, also to those who ask again.
            to.close(CloseReason::Ended);
            return;
        }
    }
}

const fn is_for_good(error: &WatchError) -> bool {
    match error {
        WatchError::Forgotten | WatchError::FilterUnknown | WatchError::TooMany { .. } => true,
        WatchError::Read(cause) => matches!(cause, ReadError::NotAMember(_)),
        WatchError::NoEntropy => false,
    }
}
