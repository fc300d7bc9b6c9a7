//! The development chain in process.

use alloy_consensus::{
    Header, Transaction as _, TxEip1559, TxEip2930, TxLegacy,
    proofs::{calculate_receipt_root, calculate_transaction_root},
};
use alloy_primitives::{B256, Bytes, U256, keccak256};
use alloy_rlp::Decodable as _;
use coterie_core::marker::FLEXIBLE_PRIVACY;

use super::*;
use crate::chain::{
    BlockId, Chain, ChainError, PublicAccount, PublicRead, PublicValue,
    testing::{CHAIN_ID, STORE_AND_LOG, Signed, Signer, tx},
};

fn manual() -> DevChain {
    DevChain::new(DevOptions { mining: Mining::Manual, ..DevOptions::default() })
}

fn send(chain: &DevChain, signed: &Signed) {
    assert_eq!(chain.send_raw(&signed.raw), Ok(signed.hash));
}

fn refused(chain: &DevChain, signed: &Signed) -> String {
    chain.send_raw(&signed.raw).unwrap_err().to_string()
}

/// Everything a header commits to, computed again from the block.
#[track_caller]
fn check_header(chain: &DevChain, hash: B256) {
    let core = chain.shared.core.read();
    let block = core.block(hash).unwrap();
    let encoded = alloy_rlp::encode(block.header.inner());
    assert_eq!(keccak256(&encoded), hash);
    assert_eq!(&Header::decode(&mut &encoded[..]).unwrap(), block.header.inner());
    let transactions: Vec<_> =
        block.transactions.iter().map(|it| it.transaction.inner().clone()).collect();
    let receipts: Vec<_> = block.transactions.iter().map(|it| it.receipt.clone()).collect();
    assert_eq!(block.header.transactions_root, calculate_transaction_root(&transactions));
    assert_eq!(block.header.receipts_root, calculate_receipt_root(&receipts));
    assert_eq!(block.header.state_root, block.state().unwrap().root());
    assert_eq!(block.header.gas_used, block.transactions.iter().map(|it| it.gas_used).sum::<u64>());
}

#[tokio::test]
async fn a_block_is_what_its_header_says() {
    let chain = manual();
    check_header(&chain, chain.head().hash);
    let signer = Signer::funded(0);
    let contract = signer.address().create(0);
    send(&chain, &signer.create(0, STORE_AND_LOG));
    send(&chain, &signer.word(1, contract, 7));
    send(&chain, &signer.marker(2, [9; 32]));
    let first = chain.mine();
    check_header(&chain, first.hash);
    let block = chain.block(BlockId::Hash(first.hash)).await.unwrap().unwrap();
    assert_eq!((block.header.number, block.header.parent_hash), (1, chain.genesis_hash()));
    assert_eq!(block.markers.len(), 1);
    assert_eq!((block.markers[0].index, block.markers[0].from), (2, signer.address()));
    assert_eq!(block.markers[0].input, Bytes::from([9; 32]));
    let core = chain.shared.core.read();
    let logs = core.block(first.hash).unwrap().transactions[1].receipt.logs();
    assert_eq!(logs[0].address, contract);
    assert_eq!(logs[0].topics(), [B256::with_last_byte(0x2a)]);
    assert_eq!(U256::from_be_slice(&logs[0].data.data), U256::from(7));
    assert!(
        core.block(first.hash)
            .unwrap()
            .header
            .logs_bloom
            .contains_input(alloy_primitives::BloomInput::Raw(contract.as_slice()))
    );
}

#[test]
fn nonces_decide_the_order_whatever_the_order_of_arrival() {
    let chain = manual();
    let signer = Signer::funded(0);
    let sent: Vec<_> = (0..5).map(|nonce| signer.marker(nonce, [0; 32])).collect();
    for index in [3, 1, 4, 0] {
        send(&chain, &sent[index]);
    }
    assert_eq!(chain.shared.core.read().nonce(signer.address(), true), 2);
    chain.mine();
    assert_eq!((chain.pool_len(), chain.shared.core.read().nonce(signer.address(), false)), (2, 2));
    send(&chain, &sent[2]);
    let head = chain.mine();
    assert_eq!(chain.shared.core.read().block(head.hash).unwrap().transactions.len(), 3);
    assert_eq!((chain.pool_len(), chain.shared.core.read().nonce(signer.address(), true)), (0, 5));
}

#[test]
fn what_cannot_be_mined_is_refused_in_the_words_of_geth() {
    let chain = manual();
    let signer = Signer::funded(0);
    send(&chain, &signer.marker(0, [1; 32]));
    chain.mine();
    let to = FLEXIBLE_PRIVACY.into();
    let base = || TxLegacy { nonce: 1, gas_limit: 21_000, to, ..tx() };
    let check = |signed: Signed, want: &str| assert_eq!(refused(&chain, &signed), want);
    check(signer.marker(0, [1; 32]), "nonce too low: next nonce 1, tx nonce 0");
    check(signer.marker(20_000, [1; 32]), "nonce too high: next nonce 1, tx nonce 20000");
    check(
        Signer::unfunded(1).legacy(TxLegacy { nonce: 0, gas_price: 2, ..base() }),
        "insufficient funds for gas * price + value: balance 0, tx cost 42000",
    );
    check(
        signer.legacy(TxLegacy { gas_limit: 20_999, ..base() }),
        "intrinsic gas too low: gas 20999, minimum needed 21000",
    );
    check(
        signer.legacy(TxLegacy { gas_limit: 1_000_000_001, ..base() }),
        "exceeds block gas limit",
    );
    check(
        signer.legacy(TxLegacy { chain_id: Some(1), ..base() }),
        "invalid sender: invalid chain id for signer: have 1 want 1337",
    );
    let priced = |gas_price| signer.legacy(TxLegacy { gas_price, ..base() });
    send(&chain, &priced(100));
    check(priced(100), "already known");
    check(priced(109), "replacement transaction underpriced");
    send(&chain, &priced(110));
    assert_eq!(chain.pool_len(), 1);
    let tips =
        TxEip1559 { chain_id: CHAIN_ID, nonce: 2, gas_limit: 21_000, to, ..TxEip1559::default() };
    check(
        signer.eip1559(TxEip1559 { max_priority_fee_per_gas: 2, max_fee_per_gas: 1, ..tips }),
        "max priority fee per gas higher than max fee per gas: maxPriorityFeePerGas: 2, maxFeePerGas: 1",
    );
    let big = TxLegacy { input: vec![0; 140_000].into(), gas_limit: 2_000_000, ..base() };
    assert!(refused(&chain, &signer.legacy(big)).starts_with("oversized data: transaction size "));
    for (raw, want) in
        [(&[3, 0xc0][..], "transaction type not supported"), (&[], "rlp: "), (&[0xc0], "rlp: ")]
    {
        let error = chain.send_raw(raw).unwrap_err().to_string();
        assert!(error.starts_with(want), "{error}");
    }
}

#[test]
fn the_rules_are_those_of_prague() {
    let chain = manual();
    let signer = Signer::funded(0);
    let marker = |gas_limit| {
        let (to, input) = (FLEXIBLE_PRIVACY.into(), Bytes::from([1; 32]));
        signer.legacy(TxLegacy { gas_limit, to, input, ..tx() })
    };
    // EIP-7623: ten gas for each of four tokens a byte.
    let floor = 21_000 + 32 * 40;
    assert_eq!(
        refused(&chain, &marker(floor - 1)),
        "intrinsic gas too low: gas 22279, minimum needed 22280"
    );
    send(&chain, &marker(floor));
    let head = chain.mine();
    check_header(&chain, head.hash);
    let core = chain.shared.core.read();
    let block = core.block(head.hash).unwrap();
    assert_eq!(block.transactions[0].gas_used, floor);
    // EIP-7685: no requests, since nothing that makes them is deployed.
    assert_eq!(block.header.requests_hash, Some(alloy_eips::eip7685::EMPTY_REQUESTS_HASH));
}

#[test]
fn every_form_of_transaction_has_its_sender_and_effect() {
    let chain = manual();
    let signer = Signer::funded(1);
    let (to, value) = (Signer::unfunded(5).address(), U256::from(1000));
    let before_eip155 =
        TxLegacy { chain_id: None, gas_limit: 21_000, to: to.into(), value, ..TxLegacy::default() };
    let access = TxEip2930 {
        chain_id: CHAIN_ID,
        nonce: 1,
        gas_limit: 21_000,
        to: to.into(),
        value,
        ..TxEip2930::default()
    };
    let fee = TxEip1559 {
        chain_id: CHAIN_ID,
        nonce: 2,
        gas_limit: 21_000,
        to: to.into(),
        value,
        ..TxEip1559::default()
    };
    for signed in [signer.legacy(before_eip155), signer.eip2930(access), signer.eip1559(fee)] {
        send(&chain, &signed);
    }
    let head = chain.mine();
    check_header(&chain, head.hash);
    let core = chain.shared.core.read();
    let block = core.block(head.hash).unwrap();
    assert!(
        block
            .transactions
            .iter()
            .all(|it| it.transaction.signer() == signer.address() && it.receipt.status())
    );
    assert_eq!(block.transactions.len(), 3);
    assert_eq!(core.head_state().balance(to), U256::from(3000));
}

#[test]
fn free_gas_lets_a_thousand_unfunded_keys_mark_in_one_block() {
    let chain = manual();
    let raw: Vec<_> = (0..1000).map(|seed| Signer::unfunded(seed).marker(0, [1; 32]).raw).collect();
    assert!(chain.send_many(&raw).iter().all(Result::is_ok));
    let head = chain.mine();
    check_header(&chain, head.hash);
    let core = chain.shared.core.read();
    let arrived: Vec<_> = core
        .block(head.hash)
        .unwrap()
        .transactions
        .iter()
        .map(|it| it.transaction.signer())
        .collect();
    assert_eq!(arrived, (0..1000).map(|seed| Signer::unfunded(seed).address()).collect::<Vec<_>>());
    assert!(core.head_state().account(FLEXIBLE_PRIVACY).is_none());
}

#[test]
fn a_fee_market_burns_the_base_fee_and_pays_the_tip() {
    let beneficiary = Signer::unfunded(77).address();
    let base_fee = BaseFee::Market(1000);
    let options = DevOptions {
        mining: Mining::Manual,
        base_fee,
        beneficiary,
        gas_limit: 100_000,
        ..DevOptions::default()
    };
    let chain = DevChain::new(options);
    let signer = Signer::funded(0);
    let transfer = |nonce, tip| TxEip1559 {
        chain_id: CHAIN_ID,
        nonce,
        gas_limit: 21_000,
        max_fee_per_gas: 2000,
        max_priority_fee_per_gas: tip,
        to: FLEXIBLE_PRIVACY.into(),
        ..TxEip1559::default()
    };
    let cheap = Signer::funded(1);
    send(&chain, &cheap.eip1559(transfer(0, 1)));
    send(
        &chain,
        &cheap.legacy(TxLegacy {
            nonce: 1,
            gas_limit: 21_000,
            gas_price: 500,
            to: FLEXIBLE_PRIVACY.into(),
            ..tx()
        }),
    );
    for nonce in 0..3 {
        send(&chain, &signer.eip1559(transfer(nonce, 9)));
    }
    let head = chain.mine();
    let core = chain.shared.core.read();
    let block = core.block(head.hash).unwrap();
    // An empty genesis lowers the base fee by an eighth; the better tips come first.
    assert_eq!(block.header.base_fee_per_gas, Some(875));
    let tips: Vec<_> =
        block.transactions.iter().map(|it| it.transaction.effective_tip_per_gas(875)).collect();
    assert_eq!(tips, [Some(9), Some(9), Some(9), Some(1)]);
    assert_eq!(core.head_state().balance(beneficiary), U256::from(21_000 * 28));
    let start = U256::from(10).pow(U256::from(24));
    assert_eq!(
        core.head_state().balance(signer.address()),
        start - U256::from(3 * 21_000 * (875 + 9))
    );
    assert_eq!(core.pool_len(), 1);
    assert!(core.draft(block, chain.options()).base_fee > 875);
}

#[test]
fn a_fixed_base_fee_refuses_who_pays_less() {
    let base_fee = BaseFee::Fixed(7);
    let chain = DevChain::new(DevOptions { base_fee, ..DevOptions::default() });
    let signed = Signer::funded(0).marker(0, [0; 32]);
    let want = "max fee per gas less than block base fee: maxFeePerGas: 0, baseFee: 7";
    assert_eq!(refused(&chain, &signed), want);
    let paid = TxLegacy { gas_price: 7, gas_limit: 21_000, to: FLEXIBLE_PRIVACY.into(), ..tx() };
    send(&chain, &Signer::funded(0).legacy(paid));
    assert_eq!(chain.head().number, 1);
}

#[tokio::test]
async fn state_can_be_read_at_every_past_block() {
    let chain = DevChain::new(DevOptions::default());
    let signer = Signer::funded(0);
    let contract = signer.address().create(0);
    send(&chain, &signer.create(0, STORE_AND_LOG));
    let mut hashes = vec![chain.genesis_hash(), chain.head().hash];
    for word in [5, 0, 6] {
        let nonce = chain.nonce(signer.address(), true).await.unwrap();
        send(&chain, &signer.word(nonce, contract, word));
        hashes.push(chain.head().hash);
    }
    let reads = [
        PublicRead::Slot(contract, U256::ZERO),
        PublicRead::Account(contract),
        PublicRead::BlockHash(1),
        PublicRead::BlockHash(9),
    ];
    for (at, slot) in [(1, 0), (2, 5), (3, 0), (4, 6)] {
        let values = chain.read(hashes[at], &reads).await.unwrap();
        let code = Bytes::copy_from_slice(&STORE_AND_LOG[12..]);
        assert_eq!(
            values,
            [
                PublicValue::Slot(U256::from(slot)),
                PublicValue::Account(PublicAccount { nonce: 1, balance: U256::ZERO, code }),
                PublicValue::BlockHash(hashes[1]),
                PublicValue::BlockHash(B256::ZERO),
            ]
        );
    }
    let before = chain.read(hashes[0], &reads[1..2]).await.unwrap();
    let nothing = PublicAccount { nonce: 0, balance: U256::ZERO, code: Bytes::new() };
    assert_eq!(before, [PublicValue::Account(nothing)]);
}

#[tokio::test]
async fn the_head_moves_between_branches_and_transactions_with_it() {
    let chain = manual();
    let (alice, bob) = (Signer::funded(0), Signer::funded(1));
    let (first, second) = (alice.marker(0, [1; 32]), bob.marker(0, [2; 32]));
    send(&chain, &first);
    send(&chain, &second);
    let one = chain.mine();
    let two = chain.mine();
    // Another branch, longer, with one of the two transactions and a new one.
    let third = alice.marker(1, [3; 32]);
    let raws = [first.raw.clone(), third.raw.clone()];
    let other = chain.mine_on(chain.genesis_hash(), &raws).unwrap();
    let tip = chain.mine_on(other.hash, &[]).unwrap();
    let tip = chain.mine_on(tip.hash, &[]).unwrap();
    assert_eq!((chain.head(), tip.number), (two, 3));
    chain.set_head(tip.hash).unwrap();
    assert_eq!(chain.head(), tip);
    assert_eq!(chain.mined(first.hash).await.unwrap().unwrap().block, other);
    assert_eq!(chain.mined(third.hash).await.unwrap().unwrap().index, 1);
    assert_eq!(chain.mined(second.hash).await.unwrap(), None);
    assert_eq!(chain.pool_len(), 1);
    assert_eq!(chain.block_ref(BlockId::Number(1)).await.unwrap(), Some(other));
    assert_eq!(chain.block_ref(BlockId::Hash(one.hash)).await.unwrap(), Some(one));
    // Ancestors are those of the branch asked for.
    let reads = [PublicRead::BlockHash(1)];
    assert_eq!(chain.read(two.hash, &reads).await.unwrap(), [PublicValue::BlockHash(one.hash)]);
    assert_eq!(chain.read(tip.hash, &reads).await.unwrap(), [PublicValue::BlockHash(other.hash)]);
    // Back again: what the other branch alone has waits, what is mined here does not.
    chain.set_head(two.hash).unwrap();
    assert_eq!(chain.mined(second.hash).await.unwrap().unwrap().block, one);
    assert_eq!(chain.pool_len(), 1);
    let three = chain.mine();
    assert_eq!(chain.mined(third.hash).await.unwrap().unwrap().block, three);
}

#[test]
fn siblings_differ_and_the_same_steps_give_the_same_chain() {
    let run = || {
        let chain = manual();
        let raw = [Signer::funded(0).marker(0, [1; 32]).raw];
        let one = chain.mine_on(chain.head().hash, &raw).unwrap();
        let two = chain.mine_on(chain.head().hash, &raw).unwrap();
        assert_ne!(one.hash, two.hash);
        let core = chain.shared.core.read();
        assert_eq!(
            core.block(one.hash).unwrap().header.state_root,
            core.block(two.hash).unwrap().header.state_root
        );
        drop(core);
        chain.set_head(two.hash).unwrap();
        send(&chain, &Signer::funded(0).create(1, STORE_AND_LOG));
        chain.mine();
        chain.rewind(1).unwrap();
        chain.mine()
    };
    assert_eq!(run(), run());
}

#[test]
fn impossible_branches_are_refused() {
    let chain = manual();
    let unknown = B256::repeat_byte(1);
    assert_eq!(chain.mine_on(unknown, &[]), Err(MineError::UnknownBlock(unknown)));
    assert_eq!(chain.set_head(unknown), Err(MineError::UnknownBlock(unknown)));
    assert_eq!(chain.rewind(5), Err(MineError::UnknownNumber(5)));
    let raws = [Signer::funded(0).marker(0, [1; 32]).raw, Signer::funded(0).marker(5, [1; 32]).raw];
    let error = chain.mine_on(chain.genesis_hash(), &raws).unwrap_err();
    assert!(matches!(error, MineError::Transaction { index: 1, .. }), "{error}");
}

#[tokio::test]
async fn a_pruned_chain_says_so() {
    let chain = DevChain::new(DevOptions {
        mining: Mining::Manual,
        state_blocks_max: 2,
        ..DevOptions::default()
    });
    let hashes: Vec<_> = (0..4).map(|_| chain.mine().hash).collect();
    let reads = [PublicRead::Account(FLEXIBLE_PRIVACY)];
    assert!(
        matches!(chain.read(hashes[1], &reads).await, Err(ChainError::StatePruned(at)) if at == hashes[1])
    );
    assert!(chain.read(hashes[2], &reads).await.is_ok());
    assert!(matches!(chain.read(B256::ZERO, &reads).await, Err(ChainError::Unavailable { .. })));
    assert_eq!(chain.set_head(hashes[0]), Err(MineError::StatePruned(hashes[0])));
    assert!(chain.rewind(3).is_ok());
}

#[tokio::test]
async fn sending_again_is_success() {
    let chain = manual();
    let signed = Signer::funded(0).marker(0, [1; 32]);
    assert_eq!(chain.submit(&signed.raw).await.unwrap(), signed.hash);
    assert_eq!(chain.submit(&signed.raw).await.unwrap(), signed.hash);
    chain.mine();
    assert_eq!(chain.submit(&signed.raw).await.unwrap(), signed.hash);
    let other = Signer::funded(0).marker(0, [2; 32]);
    assert!(matches!(
        chain.submit(&other.raw).await,
        Err(ChainError::Refused { code: -32000, .. })
    ));
}

#[tokio::test]
async fn blocks_come_by_interval_and_by_the_clock() {
    let clock: Clock = Arc::new(|| 4_000_000_000);
    let chain = DevChain::new(DevOptions {
        mining: Mining::Interval(5),
        clock: Some(clock),
        ..DevOptions::default()
    });
    let running = tokio::spawn(chain.clone().run());
    let mut heads = chain.watch_head();
    let deadline = Duration::from_secs(60);
    tokio::time::timeout(deadline, heads.wait_for(|it| it.number >= 3)).await.unwrap().unwrap();
    chain.set_mining(Mining::Manual);
    running.abort();
    for (number, timestamp) in [(0, 4_000_000_000), (1, 4_000_000_001), (2, 4_000_000_002)] {
        let block = chain.block(BlockId::Number(number)).await.unwrap().unwrap();
        assert_eq!(block.header.timestamp, timestamp);
    }
}

/// A kept chain, opened again after `act`, beside what it was before.
#[track_caller]
fn reopened(act: impl FnOnce(&DevChain)) -> (DevChain, DevChain) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("chain");
    // A clock that nobody can repeat.
    let ticks = std::sync::atomic::AtomicU64::new(1_800_000_000);
    let clock: Clock = Arc::new(move || ticks.fetch_add(97, std::sync::atomic::Ordering::Relaxed));
    let options = DevOptions { clock: Some(clock), ..DevOptions::default() };
    let first = DevChain::open(options.clone(), &path).unwrap();
    act(&first);
    first.close();
    let second = DevChain::open(options, &path).unwrap();
    assert_eq!(second.head(), first.head());
    assert_eq!(second.genesis_hash(), first.genesis_hash());
    (first, second)
}

#[test]
fn a_kept_chain_is_the_same_when_it_is_opened_again() {
    let signer = Signer::funded(0);
    let contract = signer.address().create(0);
    let (first, second) = reopened(|chain| {
        send(chain, &signer.create(0, STORE_AND_LOG));
        send(chain, &signer.word(1, contract, 7));
        chain.mine();
    });
    let (before, after) = (first.shared.core.read(), second.shared.core.read());
    for number in 0..=first.head().number {
        let (before, after) = (before.canonical(number).unwrap(), after.canonical(number).unwrap());
        assert_eq!(before.header, after.header);
        let receipts = |block: &block::MinedBlock| -> Vec<_> {
            block.transactions.iter().map(|it| it.receipt.clone()).collect()
        };
        assert_eq!(receipts(before), receipts(after));
    }
    drop((before, after));
    send(&second, &signer.word(2, contract, 8));
    assert_eq!(second.head().number, first.head().number + 1);
}

#[test]
fn a_kept_chain_has_its_branches_and_its_head() {
    let signer = Signer::funded(0);
    let (first, second) = reopened(|chain| {
        send(chain, &signer.marker(0, [1; 32]));
        send(chain, &signer.marker(1, [2; 32]));
        let branch = chain.mine_on(chain.genesis_hash(), &[signer.marker(0, [3; 32]).raw]).unwrap();
        chain.set_head(branch.hash).unwrap();
    });
    assert_eq!(first.head().number, 1);
    let abandoned: Vec<B256> = first.shared.core.read().hashes().collect();
    assert_eq!(abandoned.len(), 4);
    let core = second.shared.core.read();
    assert!(abandoned.iter().all(|hash| core.block(*hash).is_some()));
}

#[test]
fn a_kept_chain_of_other_options_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("chain");
    drop(DevChain::open(DevOptions::default(), &path).unwrap());
    let options = DevOptions { gas_limit: 30_000_000, ..DevOptions::default() };
    assert!(matches!(DevChain::open(options, &path), Err(JournalError::Differs { .. })));
}
