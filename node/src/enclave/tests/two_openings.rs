//! One ciphertext, two keys. XSalsa20-Poly1305 does not commit to its key: who chooses both keys
//! can make a ciphertext that authenticates under either, so one id would be different
//! transactions for different members. The zeros of design 2.3 are against that.

use alloy_primitives::{Bytes, U256};
use coterie_core::{definition::Rules, wire::PrefixedPayload};

use super::{SIGNER, block, members::offline_with};
use crate::enclave::{
    Decided, EmbeddedEnclave, Enclave as _, Opening,
    codec::{Envelope, Tail},
    crypto::{KeyRing, TAG_BYTES, open_payload, random, seal_payload},
    keys::KeyPair,
};

/// Blocks of the ciphertext that is made, and the one of them that makes the tags equal: inside the
/// text, which begins after 116 bytes.
const BLOCKS: usize = 12;
const FREE: usize = 9;

/// What authenticates under one key: Poly1305's two numbers.
struct Authenticator {
    r: U256,
    s: U256,
}

/// Poly1305's prime.
fn prime() -> U256 {
    (U256::from(1) << 130) - U256::from(5)
}

fn low_128_bits(value: U256) -> U256 {
    value & ((U256::from(1) << 128) - U256::from(1))
}

fn number(bytes: &[u8]) -> U256 {
    U256::from_le_slice(bytes)
}

impl Authenticator {
    /// Finds the numbers of a key from tags alone.
    fn of(opening: &Opening) -> Self {
        let tag = |plain: &[u8]| number(&seal_payload(opening, plain)[..TAG_BYTES]);
        let s = tag(&[]);
        // A ciphertext of one zero byte is the number 256, so its tag is 256 r + s.
        let stream = seal_payload(opening, &[0])[TAG_BYTES];
        let low = low_128_bits(tag(&[stream]).wrapping_sub(s));
        let inverse = U256::from(256).inv_mod(prime()).unwrap();
        let products = (0..4_u64).map(|high| low + (U256::from(high) << 128_usize));
        let mut candidates =
            products.map(|product: U256| Self { r: product.mul_mod(inverse, prime()), s });
        // Another tag tells which of them it is.
        let sealed = seal_payload(opening, &[0; 64]);
        let (tag, cipher_text) = sealed.split_at(TAG_BYTES);
        candidates.find(|candidate| candidate.tag(cipher_text) == number(tag)).unwrap()
    }

    /// The polynomial, before `s` is added.
    fn polynomial(&self, cipher_text: &[u8]) -> U256 {
        cipher_text.chunks(16).fold(U256::ZERO, |sum, block| {
            let block = number(block) + (U256::from(1) << (8 * block.len()));
            sum.add_mod(block, prime()).mul_mod(self.r, prime())
        })
    }

    fn tag(&self, cipher_text: &[u8]) -> U256 {
        low_128_bits(self.polynomial(cipher_text) + self.s)
    }
}

/// A ciphertext that both open, whose plaintext under the first is of the form of the rules.
fn two_faced(first: &Opening, second: &Opening) -> Vec<u8> {
    let (a, b) = (Authenticator::of(first), Authenticator::of(second));
    let minus = |value: U256| prime() - value % prime();
    let power = U256::from(BLOCKS - FREE);
    let slope = a.r.pow_mod(power, prime()).add_mod(minus(b.r.pow_mod(power, prime())), prime());
    let slope = slope.inv_mod(prime()).unwrap();
    for attempt in 0..=u8::MAX {
        let text = Bytes::from(vec![attempt; 16 * BLOCKS - 116]);
        let plain = PrefixedPayload { marker_signer: SIGNER, signature: [7; 64], text }.encode();
        let mut cipher_text = seal_payload(first, &plain).split_off(TAG_BYTES);
        assert_eq!(cipher_text.len(), 16 * BLOCKS);
        let free = 16 * FREE..16 * FREE + 16;
        cipher_text[free.clone()].fill(0);
        // The polynomials must differ as much as the other numbers do the other way round, in the
        // low 128 bits; the free block is linear in both.
        let without =
            a.polynomial(&cipher_text).add_mod(minus(b.polynomial(&cipher_text)), prime());
        let low = low_128_bits(b.s.wrapping_sub(a.s));
        for high in 0..4_u64 {
            let difference: U256 = low + (U256::from(high) << 128_usize);
            let block = difference.add_mod(minus(without), prime()).mul_mod(slope, prime());
            if block != low_128_bits(block) {
                continue;
            }
            cipher_text[free.clone()].copy_from_slice(&block.to_le_bytes::<32>()[..16]);
            let tag = a.tag(&cipher_text);
            if tag == b.tag(&cipher_text) {
                return [&tag.to_le_bytes::<32>()[..TAG_BYTES], &cipher_text].concat();
            }
        }
    }
    panic!("no ciphertext found");
}

#[tokio::test]
async fn of_two_openings_of_one_ciphertext_at_most_one_counts() {
    let nonce = random().unwrap();
    let openings = [random().unwrap(), random().unwrap()];
    let openings = openings.map(|master_key| Opening { master_key, nonce });
    let cipher_text = Bytes::from(two_faced(&openings[0], &openings[1]));
    let plains = openings.each_ref().map(|opening| open_payload(opening, &cipher_text).unwrap());
    assert_ne!(plains[0], plains[1]);
    let zeros = plains.each_ref().map(|plain| plain.starts_with(&[0; 32]));
    assert_eq!(zeros, [true, false]);

    let sender = KeyPair::generate().unwrap();
    let from = *sender.public();
    let ring = KeyRing::new(vec![sender]);
    for rules in [Rules::Besu, Rules::Coterie] {
        let mut decided = Vec::new();
        for opening in &openings {
            let pair = KeyPair::generate().unwrap();
            let (to, box_nonce) = (*pair.public(), random().unwrap());
            let sealed = ring.seal(&from, &to, &box_nonce, &opening.master_key).unwrap();
            let envelope = Envelope {
                sender: from,
                cipher_text: cipher_text.clone(),
                nonce,
                boxes: vec![sealed.try_into().unwrap()],
                box_nonce,
                recipients: Some(vec![to]),
                tail: Some(Tail::standard(None)),
            };
            let member: EmbeddedEnclave = offline_with(vec![pair], rules);
            let key = member.store_envelope(&envelope.encode()).await.unwrap();
            decided.extend(member.decide(block(1, 0), &[key]).await.unwrap());
        }
        match (rules, decided.as_slice()) {
            (Rules::Besu, [Decided::InTime(one), Decided::InTime(other)]) => {
                assert_eq!([&one.text, &other.text], plains.each_ref());
                assert_eq!(one.key, other.key);
            }
            (Rules::Coterie, [Decided::InTime(one), Decided::Malformed]) => {
                assert_eq!(one.text, plains[0][116..]);
            }
            (rules, decided) => panic!("{rules:?}: {decided:?}"),
        }
    }
}
