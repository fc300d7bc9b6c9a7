//! What waits to be sent on a WebSocket: in order, within a limit, and with an end.
//!
//! Who has something to send waits for room. A client that makes no room for too long is cut off:
//! nothing is kept for it without end.

use std::{collections::VecDeque, pin::pin, sync::Arc, time::Duration};

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes};
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::{sync::Notify, time::Instant};

/// Why this side ends a connection, with a code of RFC 6455, 7.4.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// The node stops.
    Stopping,
    /// The client does not read what is sent.
    TooSlow,
    /// Nothing was heard of the client, although it was asked.
    Silent,
    /// A message was too long.
    TooLong,
    /// What was subscribed to ended by itself.
    Ended,
    /// The caller may not call any more.
    Unauthorized,
}

impl CloseReason {
    pub(super) fn frame(self) -> CloseFrame {
        let (code, reason) = match self {
            Self::Stopping => (1001, "the node is stopping: connect again"),
            Self::TooSlow => (1008, "too slow: messages waited too long to be read"),
            Self::Silent => (1008, "no answer to pings"),
            Self::TooLong => (1009, "the message is too long"),
            Self::Ended => (1011, "a subscription ended: connect and subscribe again"),
            Self::Unauthorized => (1008, "not authorized any more: connect with a new token"),
        };
        CloseFrame { code, reason: Utf8Bytes::from_static(reason) }
    }

    /// Whether what waits is sent before the connection is closed.
    const fn lets_finish(self) -> bool {
        match self {
            Self::Stopping | Self::Silent | Self::TooLong | Self::Ended => true,
            Self::TooSlow | Self::Unauthorized => false,
        }
    }
}

/// The connection is closed, or about to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the connection is closed")]
pub struct Closed;

/// The queue of one connection.
#[derive(Debug)]
pub(super) struct Outbox {
    queue: Mutex<Queue>,
    /// There is something to take.
    filled: Notify,
    /// There is room.
    emptied: Notify,
    /// The connection is to be closed.
    closing: Notify,
    bytes_max: usize,
    patience: Duration,
}

#[derive(Debug, Default)]
struct Queue {
    messages: VecDeque<Message>,
    bytes: usize,
    close: Option<CloseReason>,
}

impl Outbox {
    pub(super) fn new(bytes_max: usize, patience: Duration) -> Arc<Self> {
        Arc::new(Self {
            queue: Mutex::default(),
            filled: Notify::new(),
            emptied: Notify::new(),
            closing: Notify::new(),
            bytes_max,
            patience,
        })
    }

    /// Adds JSON, when there is room for it. A message that is longer than the queue has it alone.
    pub(super) async fn push(&self, json: Bytes) -> Result<(), Closed> {
        let deadline = Instant::now() + self.patience;
        let message = text(json);
        let bytes = length(&message);
        loop {
            let mut emptied = pin!(self.emptied.notified());
            emptied.as_mut().enable();
            {
                let mut queue = self.queue.lock();
                if queue.close.is_some() {
                    return Err(Closed);
                }
                if queue.bytes == 0 || queue.bytes.saturating_add(bytes) <= self.bytes_max {
                    queue.bytes += bytes;
                    queue.messages.push_back(message);
                    self.filled.notify_one();
                    return Ok(());
                }
            }
            if tokio::time::timeout_at(deadline, emptied).await.is_err() {
                self.close(CloseReason::TooSlow);
                return Err(Closed);
            }
        }
    }

    /// Adds a ping, which takes no room.
    pub(super) fn ping(&self) {
        self.queue.lock().messages.push_back(Message::Ping(Bytes::new()));
        self.filled.notify_one();
    }

    /// Nothing is accepted any more. The first reason is the one.
    pub(super) fn close(&self, reason: CloseReason) {
        let mut queue = self.queue.lock();
        if queue.close.is_some() {
            return;
        }
        queue.close = Some(reason);
        if !reason.lets_finish() {
            queue.messages.clear();
            queue.bytes = 0;
        }
        queue.messages.push_back(Message::Close(Some(reason.frame())));
        drop(queue);
        self.filled.notify_one();
        self.emptied.notify_waiters();
        self.closing.notify_one();
    }

    /// Waits until it is closed; for one waiter.
    pub(super) async fn closed(&self) {
        self.closing.notified().await;
    }

    /// The next message; for one taker.
    pub(super) async fn take(&self) -> Message {
        loop {
            if let Some(message) = self.queue.lock().messages.pop_front() {
                return message;
            }
            self.filled.notified().await;
        }
    }

    /// A message that was taken has been sent.
    pub(super) fn sent(&self, bytes: usize) {
        let mut queue = self.queue.lock();
        queue.bytes = queue.bytes.saturating_sub(bytes);
        drop(queue);
        self.emptied.notify_waiters();
    }
}

/// What a message counts.
pub(super) fn length(message: &Message) -> usize {
    match message {
        Message::Text(text) => text.len(),
        Message::Binary(bytes) => bytes.len(),
        Message::Ping(_) | Message::Pong(_) | Message::Close(_) => 0,
    }
}

/// JSON is text; whatever is not goes as it is.
fn text(json: Bytes) -> Message {
    match Utf8Bytes::try_from(json.clone()) {
        Ok(text) => Message::Text(text),
        Err(_) => Message::Binary(json),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);
    const SHORT: Duration = Duration::from_millis(10);

    #[tokio::test]
    async fn messages_come_in_order_and_wait_for_room() {
        let outbox = Outbox::new(10, LONG);
        outbox.push(Bytes::from_static(b"1234567")).await.unwrap();
        let mut second = pin!(outbox.push(Bytes::from_static(b"abcd")));
        assert!(futures::poll!(&mut second).is_pending());
        let first = outbox.take().await;
        assert!(futures::poll!(&mut second).is_pending(), "it is not sent yet");
        outbox.sent(length(&first));
        second.await.unwrap();
        assert_eq!(outbox.take().await, Message::Text("abcd".into()));
    }

    #[tokio::test]
    async fn a_message_that_is_longer_than_the_queue_has_it_alone() {
        let outbox = Outbox::new(2, LONG);
        outbox.push(Bytes::from_static(b"1234567")).await.unwrap();
        let mut second = pin!(outbox.push(Bytes::from_static(b"a")));
        assert!(futures::poll!(&mut second).is_pending());
    }

    #[tokio::test]
    async fn who_does_not_read_is_cut_off_with_a_reason() {
        let outbox = Outbox::new(2, SHORT);
        outbox.push(Bytes::from_static(b"12")).await.unwrap();
        assert_eq!(outbox.push(Bytes::from_static(b"3")).await, Err(Closed));
        outbox.closed().await;
        let frame = CloseReason::TooSlow.frame();
        // What waited is not sent any more.
        assert_eq!(outbox.take().await, Message::Close(Some(frame)));
        assert_eq!(outbox.push(Bytes::from_static(b"4")).await, Err(Closed));
    }

    #[tokio::test]
    async fn what_waits_is_sent_before_a_clean_end() {
        let outbox = Outbox::new(100, LONG);
        outbox.push(Bytes::from_static(b"12")).await.unwrap();
        outbox.close(CloseReason::Ended);
        outbox.close(CloseReason::TooSlow);
        assert_eq!(outbox.take().await, Message::Text("12".into()));
        assert_eq!(outbox.take().await, Message::Close(Some(CloseReason::Ended.frame())));
    }
}
