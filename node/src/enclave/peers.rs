//! Which address holds which enclave key, and what is known of each peer.
//!
//! Pure bookkeeping with limits; proving a claim and talking is [`super::network`]'s work. Unlike
//! Tessera's list, configured peers are never forgotten (enclave specification, 2.7).

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use coterie_core::{EnclaveKey, NetworkDefinition};
use parking_lot::RwLock;
use url::Url;

/// Keys that one address may hold.
pub(super) const KEYS_PER_PEER_MAX: usize = 64;
/// How often a peer that nobody configured may fail in a row before it is forgotten.
const FAILURES_MAX: u32 = 20;
/// Longest address. Short enough that an announcement with many of them fits into what peers take.
pub(super) const URL_BYTES_MAX: usize = 256;
/// First wait after a failure; doubles up to the interval.
const RETRY_FIRST: Duration = Duration::from_millis(250);
/// Failures in a row, some 20 s of them as announcements go by default, after which the operator is
/// told that a peer is not reached: one that restarts is not worth a warning.
const FAILURES_TOLD: u32 = 5;

/// What was learned by meeting a peer.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    /// A node of ours, with its network definition.
    Coterie(Arc<NetworkDefinition>),
    /// Something that speaks only Tessera's protocol.
    Tessera,
}

/// Who holds a key.
#[derive(Clone, Debug)]
pub(super) struct Holder {
    pub(super) url: String,
    pub(super) kind: Kind,
    /// When the claim was proved.
    pub(super) proved: Instant,
}

/// Which address holds which key.
pub(super) struct Directory {
    own_url: String,
    interval: Duration,
    peers_max: usize,
    inner: RwLock<Inner>,
    /// Where the next announcement's learned addresses begin, when not all fit.
    turn: AtomicUsize,
}

#[derive(Default)]
struct Inner {
    nodes: BTreeMap<String, Node>,
    keys: HashMap<[u8; 32], Holder>,
}

struct Node {
    configured: bool,
    failures: u32,
    next: Instant,
    told: Told,
}

/// What the operator was last told of an address.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    Nothing,
    Reached,
    Lost,
}

impl Node {
    const fn new(configured: bool, next: Instant) -> Self {
        Self { configured, failures: 0, next, told: Told::Nothing }
    }

    /// Whether the operator, who configured it, is to be told this and was not yet.
    fn tell(&mut self, what: Told) -> bool {
        let news = self.told != what;
        self.told = what;
        news && self.configured
    }
}

impl Directory {
    pub(super) fn new(
        own_url: String,
        configured: &[String],
        interval: Duration,
        peers_max: usize,
    ) -> Self {
        let now = Instant::now();
        let nodes = configured
            .iter()
            .filter(|url| **url != own_url)
            .map(|url| (url.clone(), Node::new(true, now)))
            .collect();
        Self {
            own_url,
            interval,
            peers_max,
            inner: RwLock::new(Inner { nodes, keys: HashMap::new() }),
            turn: AtomicUsize::new(0),
        }
    }

    pub(super) fn own_url(&self) -> &str {
        &self.own_url
    }

    pub(super) fn is_configured(&self, url: &str) -> bool {
        self.inner.read().nodes.get(url).is_some_and(|node| node.configured)
    }

    /// Adds an address to those that are contacted, when there is room; it is contacted at once.
    pub(super) fn learn(&self, url: &str) {
        let mut inner = self.inner.write();
        if url == self.own_url || inner.nodes.contains_key(url) {
            return;
        }
        let learned = inner.nodes.values().filter(|node| !node.configured).count();
        if learned < self.peers_max {
            inner.nodes.insert(url.to_owned(), Node::new(false, Instant::now()));
        }
    }

    /// Records that `url` proved to hold `key`. The latest proof counts: a key can move. Whether
    /// there was room: what others fill takes none from configured peers.
    pub(super) fn believe(&self, key: [u8; 32], url: &str, kind: Kind) -> bool {
        let mut inner = self.inner.write();
        let room = || {
            let of_node = inner.keys.values().filter(|holder| holder.url == url).count();
            let configured = inner.nodes.get(url).is_some_and(|node| node.configured);
            let all_max = self.peers_max.saturating_mul(KEYS_PER_PEER_MAX);
            of_node < KEYS_PER_PEER_MAX && (configured || inner.keys.len() < all_max)
        };
        let believed = inner.keys.contains_key(&key) || room();
        if believed {
            inner.keys.insert(key, Holder { url: url.to_owned(), kind, proved: Instant::now() });
        }
        believed
    }

    /// Who holds `key`.
    pub(super) fn holder(&self, key: &[u8; 32]) -> Option<Holder> {
        self.inner.read().keys.get(key).cloned()
    }

    /// All keys with their addresses.
    pub(super) fn keys(&self) -> Vec<([u8; 32], String)> {
        let inner = self.inner.read();
        let mut keys: Vec<_> =
            inner.keys.iter().map(|(key, holder)| (*key, holder.url.clone())).collect();
        keys.sort_unstable();
        keys
    }

    /// Addresses to tell others, without our own: the configured ones, then learned ones, by turns
    /// when there are more.
    pub(super) fn told(&self, count_max: usize) -> Vec<String> {
        let inner = self.inner.read();
        let (configured, learned): (Vec<_>, Vec<_>) =
            inner.nodes.iter().partition(|(_, node)| node.configured);
        let room = count_max.saturating_sub(configured.len()).min(learned.len());
        let start = if room < learned.len() {
            self.turn.fetch_add(room, Ordering::Relaxed) % learned.len()
        } else {
            0
        };
        let in_turn = learned.iter().cycle().skip(start).take(room);
        configured.iter().take(count_max).chain(in_turn).map(|(url, _)| (*url).clone()).collect()
    }

    /// Addresses that are to be contacted now; each is given out once until it is reported on.
    pub(super) fn take_due(&self) -> Vec<String> {
        let now = Instant::now();
        let mut inner = self.inner.write();
        let due = inner.nodes.iter_mut().filter(|(_, node)| node.next <= now);
        due.map(|(url, node)| {
            node.next = now + self.interval;
            url.clone()
        })
        .collect()
    }

    /// When the next address is due, from now.
    pub(super) fn next_due(&self) -> Duration {
        let now = Instant::now();
        let next = self.inner.read().nodes.values().map(|node| node.next).min();
        next.map_or(self.interval, |next| next.saturating_duration_since(now).min(self.interval))
    }

    /// A contact worked. Whether that is news to the operator.
    pub(super) fn reached(&self, url: &str) -> bool {
        let mut inner = self.inner.write();
        let Some(node) = inner.nodes.get_mut(url) else { return false };
        node.failures = 0;
        node.next = Instant::now() + self.interval;
        node.tell(Told::Reached)
    }

    /// The peer called us: if it was not reached before, it is tried at once.
    pub(super) fn heard_from(&self, url: &str) {
        if let Some(node) = self.inner.write().nodes.get_mut(url)
            && node.failures > 0
        {
            node.next = Instant::now();
        }
    }

    /// A contact failed: it is tried again soon, then less often; one that nobody configured is
    /// forgotten in the end. Whether the operator should be told.
    pub(super) fn failed(&self, url: &str) -> bool {
        let mut inner = self.inner.write();
        let Some(node) = inner.nodes.get_mut(url) else { return false };
        node.failures = node.failures.saturating_add(1);
        let wait = RETRY_FIRST
            .saturating_mul(1 << node.failures.min(16).saturating_sub(1))
            .min(self.interval);
        node.next = Instant::now() + wait;
        let news = node.failures >= FAILURES_TOLD && node.tell(Told::Lost);
        if !node.configured && node.failures > FAILURES_MAX {
            inner.nodes.remove(url);
            inner.keys.retain(|_, holder| holder.url != url);
        }
        news
    }
}

/// An address as peers compare it: a path is added when there is none, nothing else is changed.
/// `None` when it is not one that can be called.
pub(super) fn normalised(text: &str) -> Option<String> {
    let url = Url::parse(text).ok()?;
    let callable = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    if !callable {
        return None;
    }
    let after_scheme = text.split_once("://").map_or(text, |(_, rest)| rest);
    let url = if after_scheme.contains('/') { text.to_owned() } else { format!("{text}/") };
    Some(url).filter(|url| url.len() <= URL_BYTES_MAX)
}

/// One of our keys, for log lines and errors.
pub(super) const fn named(key: &[u8; 32]) -> EnclaveKey {
    EnclaveKey::Nacl(*key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, want: Option<&str>) {
        assert_eq!(normalised(text).as_deref(), want);
    }

    #[test]
    fn addresses_are_compared_as_text_with_a_path() {
        check("http://h:9000", Some("http://h:9000/"));
        check("http://h:9000/", Some("http://h:9000/"));
        check("http://H:80/a", Some("http://H:80/a"));
        check("https://127.0.0.1:9000", Some("https://127.0.0.1:9000/"));
        let longest = format!("http://h/{}", "a".repeat(URL_BYTES_MAX - 9));
        check(&longest, Some(&longest));
        check(&format!("{longest}a"), None);
        check(&format!("http://{}", "h".repeat(URL_BYTES_MAX - 7)), None);
        for text in [
            "",
            "h:9000",
            "ftp://h/",
            "file:///etc/passwd",
            "http://u:p@h/",
            "http://h/?q",
            "http://h/#f",
            "unix:/x",
        ] {
            check(text, None);
        }
    }

    fn directory(peers_max: usize) -> Directory {
        Directory::new(
            "http://me/".into(),
            &["http://a/".into(), "http://me/".into()],
            Duration::from_secs(5),
            peers_max,
        )
    }

    #[test]
    fn configured_peers_are_never_forgotten_and_others_are() {
        let directory = directory(10);
        directory.learn("http://b/");
        directory.believe([1; 32], "http://a/", Kind::Tessera);
        directory.believe([2; 32], "http://b/", Kind::Tessera);
        for _ in 0..=FAILURES_MAX {
            directory.failed("http://a/");
            directory.failed("http://b/");
        }
        assert_eq!(directory.told(10), ["http://a/"]);
        assert!(directory.holder(&[1; 32]).is_some() && directory.holder(&[2; 32]).is_none());
    }

    #[test]
    fn the_operator_is_told_once_that_a_configured_peer_is_lost_and_once_that_it_is_back() {
        let directory = directory(10);
        directory.learn("http://b/");
        let fail = |url, times: u32| (0..times).filter(|_| directory.failed(url)).count();
        // A peer that is not up yet is no news for a while.
        assert_eq!(fail("http://a/", FAILURES_TOLD - 1), 0);
        assert!(directory.reached("http://a/") && !directory.reached("http://a/"));
        assert_eq!(fail("http://a/", FAILURES_TOLD - 1), 0);
        assert_eq!(fail("http://a/", 100), 1);
        assert!(directory.reached("http://a/"));
        // What others name may be anything.
        assert!(!directory.reached("http://b/") && fail("http://b/", FAILURES_TOLD) == 0);
    }

    #[test]
    fn learned_addresses_are_limited() {
        let directory = directory(2);
        for host in ["b", "c", "d", "me"] {
            directory.learn(&format!("http://{host}/"));
        }
        assert_eq!(directory.told(10), ["http://a/", "http://b/", "http://c/"]);
        // Who is told of fewer is told of all in the end.
        assert_eq!(directory.told(2), ["http://a/", "http://b/"]);
        assert_eq!(directory.told(2), ["http://a/", "http://c/"]);
        assert_eq!(directory.told(1), ["http://a/"]);
        assert_eq!(directory.take_due().len(), 3);
        assert!(directory.take_due().is_empty());
        directory.failed("http://a/");
        assert!(directory.next_due() <= RETRY_FIRST);
    }

    #[test]
    fn one_address_holds_a_limited_number_of_keys() {
        let directory = directory(10);
        for id in 0..200u8 {
            directory.believe([id; 32], "http://a/", Kind::Tessera);
        }
        assert_eq!(directory.keys().len(), KEYS_PER_PEER_MAX);
    }

    #[test]
    fn a_configured_peer_is_believed_when_others_took_all_the_room() {
        let directory = directory(1);
        for id in 0..64u8 {
            assert!(directory.believe([id; 32], "http://liar/", Kind::Tessera));
        }
        assert!(!directory.believe([100; 32], "http://b/", Kind::Tessera));
        assert!(directory.believe([101; 32], "http://a/", Kind::Tessera));
        assert_eq!(directory.holder(&[101; 32]).unwrap().url, "http://a/");
    }
}
