//! Our own messages between members: boxed, bound to a challenge and to their answer.
//!
//! A request proves that its sender holds the key it speaks for: it is a box between that key and
//! ours over a challenge that we gave out and that is spent by it. The answer is boxed back and
//! names the request. What kinds there are, and what their bodies mean, is not known here.
//!
//! # Format, version 1
//!
//! ```text
//! challenge = expiry u64 (ms since the giver started) ‖ random 16 ‖ tag 16
//! request   = 1 ‖ from 32 ‖ to 32 ‖ nonce 24 ‖ box of
//!             "coterie request v1" ‖ from ‖ to ‖ challenge 40 ‖ length u8 ‖ kind ‖ body
//! answer    = 1 ‖ nonce 24 ‖ box of
//!             "coterie answer v1" ‖ SHA-512/256(request) ‖ 0 (answer) or 1 (refusal, text) ‖ body
//! ```
//!
//! The texts keep these boxes apart from those of master keys (which hold 32 bytes), and both keys
//! are inside because a box between two keys opens in either direction.

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

use alloy_primitives::Bytes;
use parking_lot::Mutex;

use super::crypto::{KeyRing, NoEntropy, TAG_BYTES, random, sha512_256};

/// Bytes of a challenge.
pub const CHALLENGE_BYTES: usize = 40;
/// Longest kind.
pub const KIND_BYTES_MAX: usize = 64;
/// Bytes of a request or answer besides its body and kind, at most.
pub const OVERHEAD_BYTES_MAX: usize = 512;
/// Spent challenges that are remembered until they expire.
const SPENT_MAX: usize = 65_536;
/// Of these, by one asker.
const SPENT_BY_ONE_MAX: usize = 4096;

const VERSION: u8 = 1;
const REQUEST_DOMAIN: &[u8] = b"coterie request v1";
const ANSWER_DOMAIN: &[u8] = b"coterie answer v1";
const CHALLENGE_DOMAIN: &[u8] = b"coterie challenge v1";

/// A message is not understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    /// Another version.
    #[error("message version {0} is not spoken")]
    Version(u8),
    /// Not of the format, not for a key of ours, or the box does not open: not told apart.
    #[error("not found")]
    Unreadable,
    /// The challenge is not ours, expired, or was used before.
    #[error("the challenge is not valid any more: ask for another")]
    Challenge,
    /// The kind is empty or too long.
    #[error("a message's kind has 1 to {KIND_BYTES_MAX} bytes")]
    Kind,
    /// No random bytes.
    #[error(transparent)]
    NoEntropy(#[from] NoEntropy),
}

/// A request that opened.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    /// Whose key it comes from, proved.
    pub from: [u8; 32],
    /// Our key it was sent to.
    pub to: [u8; 32],
    /// The challenge it answers; still to be checked.
    pub challenge: [u8; CHALLENGE_BYTES],
    /// What it asks.
    pub kind: String,
    /// Its body.
    pub body: Bytes,
    /// What its answer is bound to.
    pub digest: [u8; 32],
}

/// Seals a request from our key `from`; its bytes, and what its answer is bound to.
pub fn seal_request(
    ring: &KeyRing,
    (from, to): (&[u8; 32], &[u8; 32]),
    challenge: &[u8; CHALLENGE_BYTES],
    kind: &str,
    body: &[u8],
) -> Result<(Vec<u8>, [u8; 32]), MessageError> {
    let kind_length = u8::try_from(kind.len()).map_err(|_| MessageError::Kind)?;
    if kind.is_empty() || kind.len() > KIND_BYTES_MAX {
        return Err(MessageError::Kind);
    }
    let nonce = random::<24>()?;
    let plain =
        [REQUEST_DOMAIN, from, to, challenge, &[kind_length], kind.as_bytes(), body].concat();
    let sealed = ring.seal(from, to, &nonce, &plain).ok_or(MessageError::Unreadable)?;
    let request = [&[VERSION], from.as_slice(), to, &nonce, &sealed].concat();
    let digest = sha512_256(&[&request]);
    Ok((request, digest))
}

/// Opens a request that was sent to one of our keys.
pub fn open_request(ring: &KeyRing, bytes: &[u8]) -> Result<Request, MessageError> {
    let (version, rest) = bytes.split_first().ok_or(MessageError::Unreadable)?;
    if *version != VERSION {
        return Err(MessageError::Version(*version));
    }
    let parts = || {
        let (from, rest) = rest.split_first_chunk::<32>()?;
        let (to, rest) = rest.split_first_chunk::<32>()?;
        let (nonce, sealed) = rest.split_first_chunk::<24>()?;
        let plain = ring.open(to, from, nonce, sealed)?;
        let rest = plain.strip_prefix(REQUEST_DOMAIN)?;
        let rest = rest.strip_prefix(from.as_slice())?.strip_prefix(to.as_slice())?;
        let (challenge, rest) = rest.split_first_chunk::<CHALLENGE_BYTES>()?;
        let (length, rest) = rest.split_first()?;
        let (kind, body) = rest.split_at_checked(usize::from(*length))?;
        let kind = std::str::from_utf8(kind)
            .ok()
            .filter(|kind| (1..=KIND_BYTES_MAX).contains(&kind.len()))?;
        let body = Bytes::copy_from_slice(body);
        let digest = sha512_256(&[bytes]);
        Some(Request {
            from: *from,
            to: *to,
            challenge: *challenge,
            kind: kind.to_owned(),
            body,
            digest,
        })
    };
    parts().ok_or(MessageError::Unreadable)
}

/// Seals the answer to a request, or its refusal.
pub fn seal_answer(
    ring: &KeyRing,
    request: &Request,
    answer: Result<&[u8], &str>,
) -> Result<Vec<u8>, MessageError> {
    let nonce = random::<24>()?;
    let (status, body) = match answer {
        Ok(body) => (0, body),
        Err(reason) => (1, reason.as_bytes()),
    };
    let plain = [ANSWER_DOMAIN, &request.digest, &[status], body].concat();
    let sealed =
        ring.seal(&request.to, &request.from, &nonce, &plain).ok_or(MessageError::Unreadable)?;
    Ok([&[VERSION], nonce.as_slice(), &sealed].concat())
}

/// Opens the answer to a request of ours from key `from` to `to`; `Ok(Err)` is a refusal.
pub fn open_answer(
    ring: &KeyRing,
    (from, to): (&[u8; 32], &[u8; 32]),
    digest: &[u8; 32],
    bytes: &[u8],
) -> Result<Result<Bytes, String>, MessageError> {
    let (version, rest) = bytes.split_first().ok_or(MessageError::Unreadable)?;
    if *version != VERSION {
        return Err(MessageError::Version(*version));
    }
    let parts = || {
        let (nonce, sealed) = rest.split_first_chunk::<24>()?;
        let plain = ring.open(from, to, nonce, sealed)?;
        let rest = plain.strip_prefix(ANSWER_DOMAIN)?.strip_prefix(digest.as_slice())?;
        match rest.split_first()? {
            (0, body) => Some(Ok(Bytes::copy_from_slice(body))),
            (1, reason) => Some(Err(String::from_utf8_lossy(reason).into_owned())),
            _ => None,
        }
    };
    parts().ok_or(MessageError::Unreadable)
}

/// Challenges that we give out. Nothing is kept for one that was only given out, so that asking
/// for many costs us nothing; each is accepted once, from whoever proves a key with it.
pub struct Challenges {
    secret: [u8; 32],
    start: Instant,
    lifetime: Duration,
    spent: Mutex<Spent>,
}

#[derive(Default)]
struct Spent {
    by_expiry: BTreeMap<(u64, [u8; 16]), [u8; 32]>,
    by_asker: HashMap<[u8; 32], usize>,
}

impl Challenges {
    /// Gives out challenges that live so long.
    pub fn new(lifetime: Duration) -> Result<Self, NoEntropy> {
        Ok(Self { secret: random()?, start: Instant::now(), lifetime, spent: Mutex::default() })
    }

    /// A new challenge.
    pub fn issue(&self) -> Result<[u8; CHALLENGE_BYTES], NoEntropy> {
        let expiry = self
            .now_ms()
            .saturating_add(u64::try_from(self.lifetime.as_millis()).unwrap_or(u64::MAX));
        let nonce = random::<16>()?;
        let mut challenge = [0; CHALLENGE_BYTES];
        let tag = self.tag(expiry, &nonce);
        for (to, from) in
            challenge.iter_mut().zip(expiry.to_be_bytes().into_iter().chain(nonce).chain(tag))
        {
            *to = from;
        }
        Ok(challenge)
    }

    /// Spends a challenge for `asker`; `false` when it is not ours, expired, was spent, or when
    /// the asker spent too many.
    pub fn spend(&self, challenge: &[u8; CHALLENGE_BYTES], asker: &[u8; 32]) -> bool {
        let now = self.now_ms();
        let Some((expiry, rest)) = challenge.split_first_chunk::<8>() else { return false };
        let Some((nonce, tag)) = rest.split_first_chunk::<16>() else { return false };
        let expiry = u64::from_be_bytes(*expiry);
        let differs =
            self.tag(expiry, nonce).iter().zip(tag).fold(0, |differs, (a, b)| differs | (a ^ b));
        if differs != 0 || tag.len() != 16 || expiry <= now {
            return false;
        }
        let mut spent = self.spent.lock();
        spent.forget_expired(now);
        if spent.by_expiry.len() >= SPENT_MAX
            || spent.by_asker.get(asker).is_some_and(|count| *count >= SPENT_BY_ONE_MAX)
        {
            return false;
        }
        if spent.by_expiry.insert((expiry, *nonce), *asker).is_some() {
            return false;
        }
        *spent.by_asker.entry(*asker).or_default() += 1;
        true
    }

    fn tag(&self, expiry: u64, nonce: &[u8; 16]) -> [u8; 16] {
        // SHA-512/256 is truncated, so a secret prefix makes a sound tag.
        let hash = sha512_256(&[CHALLENGE_DOMAIN, &self.secret, &expiry.to_be_bytes(), nonce]);
        let mut tag = [0; 16];
        for (to, from) in tag.iter_mut().zip(hash) {
            *to = from;
        }
        tag
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Spent {
    fn forget_expired(&mut self, now: u64) {
        while let Some(entry) = self.by_expiry.first_entry() {
            if entry.key().0 > now {
                break;
            }
            let asker = entry.remove();
            if let Some(count) = self.by_asker.get_mut(&asker) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    self.by_asker.remove(&asker);
                }
            }
        }
    }
}

/// Largest request or answer for bodies of `body_bytes_max`.
pub const fn message_bytes_max(body_bytes_max: usize) -> usize {
    body_bytes_max + OVERHEAD_BYTES_MAX + KIND_BYTES_MAX + TAG_BYTES
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request").field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Challenges {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Challenges").field("lifetime", &self.lifetime).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::keys::KeyPair, *};

    fn rings() -> (KeyRing, [u8; 32], KeyRing, [u8; 32]) {
        let (a, b) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let (public_a, public_b) = (*a.public(), *b.public());
        (KeyRing::new(vec![a]), public_a, KeyRing::new(vec![b]), public_b)
    }

    #[test]
    fn request_and_answer_are_bound_to_each_other() {
        let (ring_a, a, ring_b, b) = rings();
        let (bytes, digest) =
            seal_request(&ring_a, (&a, &b), &[7; 40], "history", b"page 1").unwrap();
        let request = open_request(&ring_b, &bytes).unwrap();
        assert_eq!((request.from, request.to, request.challenge), (a, b, [7; 40]));
        assert_eq!(
            (request.kind.as_str(), request.body.as_ref()),
            ("history", b"page 1".as_slice())
        );
        for want in [Ok(b"yes".as_slice()), Err("no")] {
            let answer = seal_answer(&ring_b, &request, want).unwrap();
            let got = open_answer(&ring_a, (&a, &b), &digest, &answer).unwrap();
            assert_eq!(got.as_ref().map(AsRef::as_ref).map_err(String::as_str), want);
            let (_, other) =
                seal_request(&ring_a, (&a, &b), &[7; 40], "history", b"page 1").unwrap();
            assert_eq!(
                open_answer(&ring_a, (&a, &b), &other, &answer),
                Err(MessageError::Unreadable)
            );
        }
    }

    #[test]
    fn a_request_sent_back_to_its_sender_is_not_one_from_the_receiver() {
        let (ring_a, a, _, b) = rings();
        let (mut bytes, _) = seal_request(&ring_a, (&a, &b), &[7; 40], "history", b"").unwrap();
        let swapped = [&b[..], &a[..]].concat();
        bytes[1..65].copy_from_slice(&swapped);
        assert_eq!(open_request(&ring_a, &bytes), Err(MessageError::Unreadable));
    }

    #[test]
    fn nobody_speaks_for_a_key_it_does_not_hold() {
        let (ring_a, a, ring_b, b) = rings();
        assert_eq!(
            seal_request(&ring_a, (&b, &a), &[7; 40], "history", b""),
            Err(MessageError::Unreadable)
        );
        let (mut bytes, _) = seal_request(&ring_a, (&a, &b), &[7; 40], "history", b"").unwrap();
        bytes[1..33].copy_from_slice(KeyPair::generate().unwrap().public());
        assert_eq!(open_request(&ring_b, &bytes), Err(MessageError::Unreadable));
        bytes[0] = 2;
        assert_eq!(open_request(&ring_b, &bytes), Err(MessageError::Version(2)));
    }

    #[test]
    fn a_challenge_is_spent_once_and_must_be_ours() {
        let challenges = Challenges::new(Duration::from_secs(60)).unwrap();
        let challenge = challenges.issue().unwrap();
        assert!(challenges.spend(&challenge, &[1; 32]));
        assert!(!challenges.spend(&challenge, &[1; 32]));
        assert!(!challenges.spend(&challenge, &[2; 32]));
        let mut changed = challenges.issue().unwrap();
        changed[0] ^= 1;
        assert!(!challenges.spend(&changed, &[1; 32]));
        let other = Challenges::new(Duration::from_secs(60)).unwrap();
        assert!(!challenges.spend(&other.issue().unwrap(), &[1; 32]));
        let expired = Challenges::new(Duration::ZERO).unwrap();
        assert!(!expired.spend(&expired.issue().unwrap(), &[1; 32]));
    }

    #[test]
    fn one_asker_cannot_fill_the_memory() {
        let challenges = Challenges::new(Duration::from_secs(60)).unwrap();
        for _ in 0..SPENT_BY_ONE_MAX {
            assert!(challenges.spend(&challenges.issue().unwrap(), &[1; 32]));
        }
        assert!(!challenges.spend(&challenges.issue().unwrap(), &[1; 32]));
        assert!(challenges.spend(&challenges.issue().unwrap(), &[2; 32]));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let (ring, a, _, b) = rings();
            let _ = open_request(&ring, &bytes);
            let _ = open_answer(&ring, (&a, &b), &[0; 32], &bytes);
        }
    }
}
