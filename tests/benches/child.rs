//! This program started once more, where a process of its own is needed: to be bound to some
//! cores, or to be one node whose memory and start are measured.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child as Process, Command, Stdio},
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context, Result, bail, ensure};
use coterie_core::NetworkDefinition;
use coterie_node::{
    chain::BlockRef,
    rpc::auth::options::{Algorithm, AuthOptions, Source, TenantLimits, TokenOptions},
};
use coterie_tests::poll_blocking;
use serde::{Deserialize, Serialize};
use tokio::sync::{
    mpsc::{UnboundedReceiver, unbounded_channel},
    watch,
};

use crate::{
    follow,
    network::{Member, PATIENCE, start_node},
    runtime,
};

/// What the first argument of such a process begins with.
pub(crate) const PREFIX: &str = "child-";

/// What a node's process is started with.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct NodeArguments {
    pub(crate) member: usize,
    pub(crate) directory: PathBuf,
    pub(crate) chain_url: String,
    pub(crate) chain_id: u64,
    pub(crate) rpc_port: u16,
    /// The public key that tokens are verified with (ES256); none are asked for without one.
    pub(crate) token_key: Option<PathBuf>,
    /// Whether it says when it has followed a block: [`NodeProcess::followed`].
    pub(crate) tells: bool,
}

/// Does what the parent asked for.
pub(crate) fn run(kind: &str, arguments: &[String]) -> Result<()> {
    match (kind, arguments) {
        ("follow", []) => follow::run_here(),
        ("node", [arguments]) => run_node(&serde_json::from_str(arguments)?),
        _ => bail!("no such part: {kind}"),
    }
}

/// Runs this program with all its threads on the first `cores` cores; what it printed.
pub(crate) fn on_cores(cores: usize, kind: &str) -> Result<String> {
    let list = (0..cores).map(|core| core.to_string()).collect::<Vec<_>>().join(",");
    let output = Command::new("taskset")
        .args(["--cpu-list", &list])
        .arg(std::env::current_exe()?)
        .arg(format!("{PREFIX}{kind}"))
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start `taskset`, which binds a process to cores")?;
    ensure!(output.status.success(), "the part {kind} on {cores} cores failed");
    Ok(String::from_utf8(output.stdout)?)
}

/// One node in a process of its own.
pub(crate) struct NodeProcess {
    process: Process,
    /// Its API.
    pub(crate) api: SocketAddr,
    /// When it was started.
    pub(crate) started: Instant,
}

impl NodeProcess {
    /// Starts it; it may not answer yet.
    pub(crate) fn start(arguments: &NodeArguments) -> Result<Self> {
        let started = Instant::now();
        let stdout = if arguments.tells { Stdio::piped() } else { Stdio::inherit() };
        let process = Command::new(std::env::current_exe()?)
            .arg(format!("{PREFIX}node"))
            .arg(serde_json::to_string(arguments)?)
            .stdin(Stdio::piped())
            .stdout(stdout)
            .spawn()?;
        let api = SocketAddr::from(([127, 0, 0, 1], arguments.rpc_port));
        Ok(Self { process, api, started })
    }

    /// Numbers of blocks as they are followed, and when each was, by [`now`].
    pub(crate) fn followed(&mut self) -> Result<UnboundedReceiver<(u64, Duration)>> {
        let lines =
            BufReader::new(self.process.stdout.take().context("a node that tells")?).lines();
        let (sender, receiver) = unbounded_channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let parsed = line.split_once(' ').and_then(|(number, time)| {
                    Some((number.parse().ok()?, Duration::from_nanos(time.parse().ok()?)))
                });
                if parsed.is_none_or(|it| sender.send(it).is_err()) {
                    return;
                }
            }
        });
        Ok(receiver)
    }

    /// Resident memory in bytes.
    pub(crate) fn resident(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").trim().parse::<u64>()? * 1024)
    }

    /// Lets it end in order.
    pub(crate) fn stop(mut self) -> Result<()> {
        drop(self.process.stdin.take());
        // What does not stop is killed when it is dropped.
        let ended = poll_blocking(Duration::from_millis(5), PATIENCE, || {
            self.process.try_wait().transpose()
        });
        ended.context("a node did not stop")??;
        Ok(())
    }
}

impl Drop for NodeProcess {
    fn drop(&mut self) {
        // Already ended when it was stopped.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Runs a node until the parent closes the standard input.
fn run_node(arguments: &NodeArguments) -> Result<()> {
    let NodeArguments { member, directory, chain_url, chain_id, rpc_port, token_key, tells } =
        arguments;
    let definition =
        NetworkDefinition::coterie("bench", *chain_id, coterie_core::contracts::CODE_HASHES);
    let runtime = runtime()?;
    let member = Member {
        index: *member,
        directory,
        chain_url,
        definition: &definition,
        peers: Vec::new(),
        rpc_port: *rpc_port,
        auth: token_key.clone().map(tokens).unwrap_or_default(),
    };
    let node = runtime.block_on(start_node(member))?;
    if *tells {
        tell(node.service().followed());
    }
    // Ends with an error or with nothing when the parent is gone.
    let _ = std::io::stdin().read(&mut [0]);
    runtime.block_on(node.stop());
    Ok(())
}

/// Tokens signed with ES256, and no limit on calls: what the server can do is measured.
fn tokens(key: PathBuf) -> AuthOptions {
    let mut options = TokenOptions::new(Source::PublicKeyFile(key));
    options.rules.algorithm = Algorithm::Es256;
    options.tenants =
        TenantLimits { calls_per_s: u32::MAX, requests_max: 1024, ..TenantLimits::default() };
    AuthOptions::Tokens(Box::new(options))
}

/// Prints what is followed, and when. In a thread of its own: the runtime's are busy just then.
fn tell(mut followed: watch::Receiver<Option<BlockRef>>) {
    std::thread::spawn(move || {
        futures::executor::block_on(async {
            while followed.changed().await.is_ok() {
                let now = now().as_nanos();
                let number = followed.borrow_and_update().map_or(0, |block| block.number);
                if writeln!(std::io::stdout(), "{number} {now}").is_err() {
                    return;
                }
            }
        });
    });
}

/// The time, as other processes see it too.
pub(crate) fn now() -> Duration {
    #[expect(clippy::disallowed_methods, reason = "no other clock is common to processes")]
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// A port that is free now.
pub(crate) fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// Bytes of all files below a directory, or of one file.
pub(crate) fn disk_bytes(path: &Path) -> Result<u64> {
    let metadata = std::fs::metadata(path)?;
    if !metadata.is_dir() {
        // What is really taken: files may be larger than what is in them.
        return Ok(std::os::unix::fs::MetadataExt::blocks(&metadata) * 512);
    }
    let mut bytes = 0;
    for entry in std::fs::read_dir(path)? {
        bytes += disk_bytes(&entry?.path())?;
    }
    Ok(bytes)
}
