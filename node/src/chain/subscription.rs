//! What a chain tells by itself: the results of an `eth_subscribe`, as JSON, in order.

use jsonrpsee_types::ErrorObjectOwned;
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::mpsc;

use crate::jsonrpc::socket::{CloseReason, Subscriber};

/// Results that wait for a consumer.
const WAITING_MAX: usize = 256;

/// A subscription of the chain; it ends when this is dropped.
#[derive(Debug)]
pub struct ChainSubscription {
    results: mpsc::Receiver<Box<RawValue>>,
}

impl ChainSubscription {
    /// A subscription, and where its results go.
    pub(super) fn new() -> (mpsc::Sender<Box<RawValue>>, Self) {
        let (sender, results) = mpsc::channel(WAITING_MAX);
        (sender, Self { results })
    }

    /// The next result; `None` when no more come: the chain ended it, or too many waited.
    pub async fn next(&mut self) -> Option<Box<RawValue>> {
        self.results.recv().await
    }

    /// Passes everything on to a connection. When it ends by itself the connection ends, too: the
    /// client knows how to begin anew, and would wait for ever otherwise.
    pub(crate) async fn pass_on(mut self, to: Subscriber) {
        let subscription = format!("{:#x}", to.id());
        while let Some(result) = self.next().await {
            let told = Notification { subscription: &subscription, result: &result };
            if to.notify("eth_subscription", &told).await.is_err() {
                return;
            }
        }
        to.close(CloseReason::Ended);
    }
}

/// The parameters of a notification.
#[derive(Serialize)]
struct Notification<'a> {
    subscription: &'a str,
    result: &'a RawValue,
}

/// An error as [`super::ChainError`] has it.
pub(super) fn refused(error: &ErrorObjectOwned) -> super::ChainError {
    super::ChainError::Refused {
        code: error.code().into(),
        message: error.message().to_owned(),
        data: error.data().map(|it| it.get().to_owned()),
    }
}
