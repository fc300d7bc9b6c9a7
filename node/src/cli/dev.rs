//! `coterie dev`: a development network until Ctrl-C or SIGTERM.

use anyhow::{Context, Result};
use coterie_node::{
    chain::dev::published_accounts,
    node::dev::{DevNetwork, DevNetworkOptions},
};

use super::{
    DevArgs, out,
    ready::{self, Ready, ReadyAccount, ReadyChain, ReadyMember},
    run,
};

/// Does what was typed.
pub(super) fn run(args: &DevArgs) -> Result<()> {
    if let Some(path) = &args.ready_file {
        // One of an earlier network would tell of what is not there.
        ready::remove(path).with_context(|| format!("cannot remove {}", path.display()))?;
    }
    run::runtime()?.block_on(async {
        let mut stopped = std::pin::pin!(run::stop_signal()?);
        let options = DevNetworkOptions {
            members: args.members.into(),
            port: args.rpc_port,
            directory: args.datadir.clone(),
            block_time_ms: args.block_time,
        };
        let network = tokio::select! {
            network = DevNetwork::start(&options) => network?,
            () = &mut stopped => return Ok(()),
        };
        let ready = of(&network);
        out::line(&ready)?;
        let written = args.ready_file.as_ref().map_or(Ok(()), |path| {
            ready.write(path).with_context(|| format!("cannot write {}", path.display()))
        });
        if written.is_ok() {
            out::line("Ctrl-C stops the network")?;
            stopped.await;
        }
        network.stop().await;
        if let Some(path) = &args.ready_file {
            // It tells of what is not there any more.
            ready::remove(path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
        written
    })
}

fn of(network: &DevNetwork) -> Ready {
    let members = network.members().into_iter().map(|member| ReadyMember {
        name: member.name.to_owned(),
        rpc: member.rpc,
        enclave_key: member.enclave_key.to_base64(),
    });
    let accounts = published_accounts()
        .iter()
        .map(|account| ReadyAccount { address: account.address, private_key: account.private_key });
    Ready {
        chain: ReadyChain { url: network.chain_url(), chain_id: network.definition().chain_id },
        members: members.collect(),
        accounts: accounts.collect(),
    }
}
