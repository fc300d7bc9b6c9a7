//! What the new reads tell to a tenant that is no member: nothing, whether or not the group, the
//! marker or the block is there. Asked of the service, since tokens have tests of their own.

use coterie_node::{
    chain::BlockId,
    executor::EstimateRequest,
    service::{ReadError, Service, Tenant, TransactionQuery},
};

use super::*;

const QUERY: TransactionQuery = TransactionQuery {
    from: BlockId::Number(0),
    to: BlockId::Latest,
    cursor: None,
    limit: 10,
    ignored: true,
};

/// How every read of a group at a block ends for this tenant, by name.
async fn outcomes(
    service: &Service,
    tenant: &Tenant,
    (group, marker, block): (GroupId, B256, BlockId),
) -> Vec<(&'static str, Option<ReadError>)> {
    let at = MANAGEMENT_PROXY;
    let request = EstimateRequest {
        from: Address::ZERO,
        to: TxKind::Call(at),
        gas_price: U256::ZERO,
        input: Bytes::new(),
    };
    vec![
        ("balance", service.balance(tenant, group, at, block).await.err()),
        ("slot", service.storage_at(tenant, group, (at, U256::ZERO), block).await.err()),
        ("proof", service.proof(tenant, group, (at, &[U256::ZERO]), block).await.err()),
        ("estimate", service.estimate_gas(tenant, group, request, block).await.err()),
        ("trace", service.trace_transaction(tenant, group, marker).await.err()),
        ("transactions", service.block_transactions(tenant, group, QUERY).await.err()),
        ("status", service.group_status(tenant, group).await.err()),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_is_no_member_is_told_the_same_whatever_there_is() {
    let network = Network::start(2).await;
    let (id, other) = (GroupId(B256::repeat_byte(0x51)), GroupId(B256::repeat_byte(0x52)));
    let add = ManagementCall::AddParticipants(network.keys.clone());
    let raw = managed((id, &network.keys[0], 0), &add);
    let marker = network.members[0].call("eea_sendRawTransaction", json!([raw])).await;
    assert_eq!(network.members[0].receipt(&marker).await["status"], "0x1");
    let marker: B256 = serde_json::from_value(marker).unwrap();

    let service = network.network.nodes()[0].service();
    let member = Tenant::holder(network.keys[0].clone());
    for (name, error) in outcomes(service, &member, (id, marker, BlockId::Latest)).await {
        assert!(error.is_none(), "{name}: {error:?}");
    }
    let stranger = Tenant::holder(EnclaveKey::Nacl([7; 32]));
    for group in [id, other] {
        for marker in [marker, B256::repeat_byte(1)] {
            for block in [BlockId::Latest, BlockId::Number(1), BlockId::Number(999)] {
                for (name, error) in outcomes(service, &stranger, (group, marker, block)).await {
                    let refused = matches!(&error, Some(ReadError::NotAMember(it)) if *it == group);
                    assert!(refused, "{name} {group} {block:?}: {error:?}");
                }
            }
        }
    }
    assert!(service.status(&member).counts.is_none());
    assert!(service.status(&service.default_tenant()).counts.is_some());
    network.stop().await;
}
