//! The command line: what can be typed, and what each command does with it. No logic of the node.
//!
//! Results go to standard output, logs and errors to standard error. Exit codes: 0 for success,
//! 1 when something failed, 2 for a command line that is not understood.

mod dev;
mod heal;
mod keys;
mod logs;
mod out;
mod ready;
mod run;
mod token;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Parser, Subcommand, ValueEnum};
use coterie_core::{EnclaveKey, GroupId};
use coterie_node::{
    config::{Config, LogConfig, LogFormat, MarkerSigner, Problem, Severity},
    enclave::keys::KeyPair,
    rpc::{
        auth::{self, options::Algorithm},
        openrpc,
    },
};
use url::Url;

/// Private groups on a public Ethereum chain.
#[derive(Debug, Parser)]
#[command(name = "coterie", version, about, arg_required_else_help = true)]
#[command(after_help = "Start with `coterie dev`: a chain and three members on this machine.")]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    logs: LogArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a node
    #[command(after_help = "Example:\n  coterie run --config /etc/coterie/coterie.toml")]
    Run(RunArgs),
    /// Run a development chain and several members' nodes in one process
    #[command(
        after_help = "Examples:\n  coterie dev\n  coterie dev --members 5 --rpc-port 9000 --block-time 1000\n  coterie dev --rpc-port 0 --ready-file ready.json\n  coterie dev --datadir dev                    (goes on where it stopped)\n\nMembers answer operators: `coterie heal GROUP --rpc URL` works."
    )]
    Dev(DevArgs),
    /// Take a group's history over again from another member
    #[command(
        after_help = "Examples:\n  coterie heal AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA= --config coterie.toml\n  coterie heal GROUP --from KEY --rpc http://127.0.0.1:8545"
    )]
    Heal(HealArgs),
    /// Make and look at key files
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Make keys and tokens for the API, and hashes of passwords
    #[command(subcommand)]
    Token(TokenCommand),
    /// Look at a configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print the description of the JSON-RPC API: an OpenRPC document
    Api {
        /// As a page for people, in Markdown
        #[arg(long)]
        markdown: bool,
    },
}

/// `coterie run`.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The node's configuration file
    #[arg(long, value_name = "FILE", env = "COTERIE_CONFIG")]
    config: PathBuf,
}

/// `coterie dev`.
#[derive(Debug, Args)]
pub(crate) struct DevArgs {
    /// How many members
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=26))]
    members: u8,
    /// The chain's port; members have the ports after it. 0: any free ports
    #[arg(long, value_name = "P", default_value_t = 8545)]
    rpc_port: u16,
    /// Where to keep the chain, keys, payloads and state; without it they are in memory
    #[arg(long, value_name = "DIR")]
    datadir: Option<PathBuf>,
    /// Milliseconds between blocks; without it every transaction makes a block
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..))]
    block_time: Option<u64>,
    /// Write URLs, keys and accounts to this file, as JSON, once all members are ready
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
}

/// `coterie heal`.
#[derive(Debug, Args)]
pub(crate) struct HealArgs {
    /// The privacy group's id, in base64
    group: GroupId,
    /// Take the history from the member with this enclave key, in base64
    #[arg(long, value_name = "KEY")]
    from: Option<EnclaveKey>,
    /// The file with a token that permits coterie:heal, for a node that asks for tokens
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    #[command(flatten)]
    node: NodeAddress,
}

/// Which running node a command is for.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct NodeAddress {
    /// The running node's configuration file
    #[arg(long, value_name = "FILE", env = "COTERIE_CONFIG")]
    config: Option<PathBuf>,
    /// The running node's JSON-RPC URL
    #[arg(long, value_name = "URL")]
    rpc: Option<Url>,
}

/// `coterie keys`.
#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Make a key and write it to files that do not exist yet
    #[command(
        after_help = "Examples:\n  coterie keys generate alice                       (writes alice.key, alice.pub)\n  coterie keys generate alice --password-file pw.txt\n  coterie keys generate marker.key --kind marker    (writes marker.key)"
    )]
    Generate {
        /// The files' path, for an enclave key without extension
        path: PathBuf,
        /// What the key is for
        #[arg(long, value_enum, default_value_t = KeyKind::Enclave)]
        kind: KeyKind,
        /// Lock an enclave key with the password on the first line of this file
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
    },
    /// Print the public part of a key file
    #[command(
        after_help = "Examples:\n  coterie keys show alice.key\n  coterie keys show alice.pub\n  coterie keys show marker.key --kind marker"
    )]
    Show {
        /// The key file
        path: PathBuf,
        /// What the key is for
        #[arg(long, value_enum, default_value_t = KeyKind::Enclave)]
        kind: KeyKind,
        /// The file whose first line is the password of a locked key
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
    },
}

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum KeyKind {
    /// Encrypts payloads and names a member (Curve25519, files in Tessera's format)
    Enclave,
    /// Signs markers on the public chain (secp256k1, 64 hex digits)
    Marker,
}

/// `coterie token`.
#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a key pair and write it to files that do not exist yet
    #[command(
        after_help = "Examples:\n  coterie token key issuer                    (writes issuer.key.pem, issuer.pub.pem, issuer.jwks.json)\n  coterie token key issuer --algorithm ES256\n  coterie token key issuer --algorithm HS256  (writes issuer.secret)"
    )]
    Key {
        /// The files' path, without extension
        path: PathBuf,
        /// What the key signs with: RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384 or HS256
        #[arg(long, value_name = "NAME", default_value_t = Algorithm::Rs256)]
        algorithm: Algorithm,
    },
    /// Print a signed token
    #[command(
        after_help = "Example:\n  coterie token sign --key issuer.key.pem --privacy-user-id \"$(cat enclave.pub)\" --permission 'priv:*' --permission 'eea:*' --permission 'eth:*' --expires-in 3600"
    )]
    Sign(TokenSignArgs),
    /// Print the bcrypt hash of a password, for a credentials file
    #[command(
        after_help = "Examples:\n  coterie token password --password-file pw.txt\n  read -rs PW; printf %s \"$PW\" | coterie token password"
    )]
    Password(PasswordArgs),
}

/// `coterie token sign`.
#[derive(Clone, Debug, Args)]
pub(crate) struct TokenSignArgs {
    /// The issuer's private key in PKCS #8 PEM; for HS256, the secret's file
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// What to sign with; the node's rpc.auth.algorithm must be the same
    #[arg(long, value_name = "NAME", default_value_t = Algorithm::Rs256)]
    algorithm: Algorithm,
    /// The tenant's enclave key, in base64; without it, the token is for the chain's methods only
    #[arg(long, value_name = "KEY")]
    privacy_user_id: Option<EnclaveKey>,
    /// What may be called: `*:*`, `priv:*` or `priv:call`; can be repeated
    #[arg(long, value_name = "PERMISSION", required = true)]
    permission: Vec<String>,
    /// For how many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    expires_in: u64,
    /// `aud`, when the node asks for one
    #[arg(long, value_name = "TEXT")]
    audience: Option<String>,
    /// `iss`, when the node asks for one
    #[arg(long, value_name = "TEXT")]
    issuer: Option<String>,
}

/// `coterie token password`.
#[derive(Debug, Args)]
pub(crate) struct PasswordArgs {
    /// The file whose first line is the password; without it, standard input
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// How costly: each step doubles the time
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(4..=14))]
    cost: u32,
}

/// `coterie config`.
#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Print what was understood, without secrets, and what is likely to go wrong
    #[command(
        after_help = "Example:\n  coterie config check --config coterie.toml\n\nFails when there is an error, not for warnings."
    )]
    Check {
        /// The node's configuration file
        #[arg(long, value_name = "FILE", env = "COTERIE_CONFIG")]
        config: PathBuf,
    },
}

/// Logs, whatever the configuration says.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Logs")]
struct LogArgs {
    /// The form of logs
    #[arg(long, value_enum, global = true, env = "COTERIE_LOG_FORMAT")]
    log_format: Option<LogFormatName>,
    /// Which logs: `info`, or by module as in `info,coterie_node::enclave=debug`
    #[arg(long, value_name = "FILTER", global = true, env = "COTERIE_LOG")]
    log: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LogFormatName {
    /// A line for people
    Plain,
    /// An object on a line
    Json,
}

impl LogArgs {
    /// What was typed, else what is configured.
    fn over(self, configured: LogConfig) -> LogConfig {
        LogConfig {
            format: match self.log_format {
                Some(LogFormatName::Plain) => LogFormat::Plain,
                Some(LogFormatName::Json) => LogFormat::Json,
                None => configured.format,
            },
            filter: self.log.unwrap_or(configured.filter),
        }
    }
}

/// Does what was typed.
///
/// # Errors
///
/// It failed; the error's chain is for people.
pub(crate) fn execute(cli: Cli) -> Result<()> {
    let Cli { command, logs } = cli;
    match command {
        Command::Run(args) => {
            let config = Config::load(&args.config)?;
            logs::start(&logs.over(config.log.clone()))?;
            log_problems(config.problems());
            run::run(config)
        }
        Command::Dev(args) => {
            let quiet = LogConfig { format: LogFormat::Plain, filter: "warn".to_owned() };
            logs::start(&logs.over(quiet))?;
            dev::run(&args)
        }
        Command::Heal(args) => heal::run(&args),
        Command::Keys(command) => keys::run(command),
        Command::Token(command) => token::run(command),
        Command::Config(ConfigCommand::Check { config }) => check(&Config::load(&config)?),
        Command::Api { markdown: true } => out::line(openrpc::page().trim_end()),
        Command::Api { markdown: false } => out::line(format_args!("{:#}", openrpc::document())),
    }
}

fn log_problems(problems: Vec<Problem>) {
    for Problem { key, text, .. } in problems {
        tracing::warn!(key, "{text}");
    }
}

fn check(config: &Config) -> Result<()> {
    out::line(config.resolved())?;
    let problems = config.problems();
    for problem in &problems {
        out::line(problem)?;
    }
    let errors = problems.iter().filter(|it| it.severity == Severity::Error).count();
    anyhow::ensure!(errors == 0, "{errors} of {} problems are errors", problems.len());
    let (pairs, problems) = keys::read_enclave_keys(&config.enclave.keys)?;
    for problem in problems {
        out::line(problem)?;
    }
    let held: Vec<_> = pairs.iter().map(KeyPair::enclave_key).collect();
    for (key, file) in held.iter().zip(&config.enclave.keys) {
        out::line(format_args!("enclave key {key} ({})", file.file.display()))?;
    }
    if let MarkerSigner::KeyFile(file) = &config.markers.signer {
        let address = keys::read_marker_key(file)?.address;
        out::line(format_args!("markers are signed by {address} ({})", file.display()))?;
    }
    for found in auth::check(&config.rpc.options.auth, &held)? {
        out::line(found)?;
    }
    out::line("not looked at: the chain, the peers, the ports, the URL of a key set")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use coterie_node::enclave::keys::write_key_files;

    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split_whitespace())
    }

    #[track_caller]
    fn check_help(line: &str, words: &[&str]) {
        let text = parse(line).unwrap_err().to_string();
        for word in words {
            assert!(text.contains(word), "{word:?} is not in:\n{text}");
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn development_networks_have_defaults() {
        let Command::Dev(args) = parse("coterie dev").unwrap().command else { panic!() };
        assert_eq!((args.members, args.rpc_port, args.block_time), (3, 8545, None));
        let line =
            "coterie dev --members 2 --rpc-port 0 --datadir d --block-time 50 --ready-file f";
        let Command::Dev(args) = parse(line).unwrap().command else { panic!() };
        assert_eq!((args.members, args.rpc_port, args.block_time), (2, 0, Some(50)));
        assert_eq!(args.ready_file.unwrap().to_str(), Some("f"));
    }

    #[test]
    fn mistypes_get_a_hint() {
        check_help("coterie rum", &["rum", "run"]);
        check_help("coterie dev --member 3", &["--member", "--members"]);
        check_help("coterie dev --members 0", &["0", "1..=26"]);
        check_help("coterie run", &["--config <FILE>"]);
        check_help("coterie heal", &["<GROUP>"]);
        check_help("coterie heal !! --rpc http://a", &["!!", "base64"]);
        let group = "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=";
        check_help(&format!("coterie heal {group}"), &["--config", "--rpc"]);
        check_help(&format!("coterie heal {group} --rpc a"), &["--rpc", "relative URL"]);
        check_help("coterie keys", &["generate", "show"]);
        check_help("coterie keys generate x --kind marked", &["marked", "marker"]);
        check_help("coterie", &["run", "dev", "heal", "keys", "token", "config"]);
        check_help("coterie token", &["key", "sign", "password"]);
        check_help("coterie token key x --algorithm ES512", &["ES512 is not supported", "ES256"]);
        check_help("coterie token key x --algorithm none", &["none", "RS256"]);
        check_help("coterie token sign", &["--key <FILE>"]);
        check_help("coterie token sign --key x --privacy-user-id AA==", &["32 or 91 bytes"]);
        check_help("coterie token password --cost 31", &["31", "4..=14"]);
        check_help("coterie dev --help", &["coterie dev --members 5", "--block-time <MS>"]);
    }

    #[test]
    fn a_check_opens_the_keys() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let pair = KeyPair::generate().unwrap();
        write_key_files(&at("enclave"), &pair, None).unwrap();
        std::fs::write(at("network.toml"), "name = \"n\"\nchain_id = 1337\n").unwrap();
        let check_with = |enclave_key: &str, marker_key: &str| {
            let text = format!(
                "network = \"network.toml\"\n[node]\ndata_dir = \"data\"\n[chain]\nurl = \"http://a\"\n\
                 [enclave]\nkeys = [{{ file = \"{enclave_key}\" }}]\n\
                 [markers]\nsigning_key_file = \"{marker_key}\"\n"
            );
            std::fs::write(at("node.toml"), text).unwrap();
            check(&Config::load(&at("node.toml")).unwrap()).map_err(|error| format!("{error:#}"))
        };
        std::fs::write(at("marker.key"), "1".repeat(64)).unwrap();
        assert_eq!(check_with("enclave.key", "marker.key"), Ok(()));
        let error = check_with("enclave.pub", "marker.key").unwrap_err();
        assert!(error.contains("cannot use the key file"), "{error}");
        let error = check_with("enclave.key", "enclave.key").unwrap_err();
        assert!(error.contains("no secp256k1 key"), "{error}");
    }

    #[test]
    fn typed_log_options_win_over_configured_ones() {
        let configured = || LogConfig { format: LogFormat::Plain, filter: "info".to_owned() };
        let logs = parse("coterie dev --log-format json").unwrap().logs;
        let want = LogConfig { format: LogFormat::Json, filter: "info".to_owned() };
        assert_eq!(logs.over(configured()), want);
        let logs = parse("coterie --log debug dev").unwrap().logs;
        let want = LogConfig { format: LogFormat::Plain, filter: "debug".to_owned() };
        assert_eq!(logs.over(configured()), want);
    }
}
