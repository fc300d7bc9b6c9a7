//! Files to meaning, and mistakes to messages.

mod problems;

use std::error::Error;

use alloy_primitives::{B256, address};
use coterie_core::{
    contracts::CODE_HASHES,
    definition::{Activation, Beneficiary, Fork, Rules},
};
use tempfile::TempDir;

use super::*;
use crate::rpc::{
    Hosts,
    auth::options::{Algorithm, AuthOptions, LoginLimits, Source, TenantLimits},
};

const MINIMAL: &str = r#"
    network = "network.toml"
    [node]
    data_dir = "data"
    [chain]
    url = "http://127.0.0.1:8545"
    [[enclave.keys]]
    file = "tm.key"
"#;

/// Every key, none with its default.
const EVERY_KEY: &str = r#"
    network = "network.toml"
    [node]
    name = "alice"
    data_dir = "/var/lib/coterie"
    compare_interval_ms = 250
    [chain]
    url = "https://user:pass@chain.example/v3/token?key=secret"
    poll_interval_ms = 500
    request_timeout_ms = 3000
    first_block = 100
    reorg_depth_max = 50
    confirmations = 12
    [rpc]
    host = "0.0.0.0"
    port = 20000
    cors_origins = ["https://app.example", "http://localhost:3000"]
    host_allowlist = ["node.example"]
    body_bytes_max = 1000
    batch_calls_max = 10
    reply_bytes_max = 2000
    request_timeout_ms = 100
    requests_max = 7
    operator_methods = true
    receipt_wait_ms = 200
    logs_max = 20
    [rpc.auth]
    algorithm = "ES256"
    jwks_url = "https://user:pass@issuer.example/realm/secret/jwks.json?key=secret"
    audiences = ["coterie"]
    issuers = ["https://issuer.example"]
    leeway_s = 30
    refresh_interval_ms = 60000
    calls_per_s = 100
    requests_max = 5
    connections_max = 6
    subscriptions_max = 9
    [enclave]
    host = "::"
    port = 0
    advertised_url = "https://alice.example:9001"
    peers = ["http://bob:9001/", "http://carol:9001"]
    discovery = false
    keys = [{ file = "a.key", password_file = "a.pw" }, { file = "/b.key" }]
    [enclave.limits]
    payload_bytes_max = 1
    message_bytes_max = 2
    requests_max = 3
    connections_max = 4
    peers_max = 5
    stranger_payloads_max = 0
    stranger_bytes_max = 7
    stranger_rate_per_s = 8
    stranger_blocks = 9
    co_member_payloads_max = 10
    co_member_bytes_max = 11
    co_member_rate_per_s = 12
    [enclave.timeouts]
    connect_ms = 1
    request_ms = 2
    announce_interval_ms = 3
    challenge_ms = 4
    [markers]
    signing_key_file = "marker.key"
    gas_price_max_wei = "0x10"
    [state]
    resident_mib = 64
    [log]
    format = "json"
    filter = "info,coterie_node::enclave=debug"
"#;

const NETWORK: &str = "name = \"test\"\nchain_id = 1337\n";

struct Files {
    dir: TempDir,
}

impl Files {
    fn new(config: &str, network: &str) -> Self {
        let dir = TempDir::new().unwrap();
        fs::write(dir.path().join("coterie.toml"), config).unwrap();
        fs::write(dir.path().join("network.toml"), network).unwrap();
        Self { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn load(&self) -> Result<Config, ConfigError> {
        Config::load(&self.path("coterie.toml"))
    }
}

/// The message with its causes, as the command line prints it.
fn message(error: &ConfigError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[track_caller]
fn check_config_error(config: &str, words: &[&str]) {
    let files = Files::new(config, NETWORK);
    let text = message(&files.load().unwrap_err());
    for word in words.iter().chain(&["coterie.toml"]) {
        assert!(text.contains(word), "{word:?} is not in: {text}");
    }
}

#[track_caller]
fn check_network_error(network: &str, words: &[&str]) {
    let files = Files::new(MINIMAL, network);
    let text = message(&files.load().unwrap_err());
    for word in words.iter().chain(&["network.toml"]) {
        assert!(text.contains(word), "{word:?} is not in: {text}");
    }
}

#[test]
fn the_smallest_configuration_has_sensible_defaults() {
    let files = Files::new(MINIMAL, NETWORK);
    let config = files.load().unwrap();
    assert_eq!(config.data_dir, files.path("data"));
    assert_eq!(config.enclave.keys[0].file, files.path("tm.key"));
    assert_eq!(config.enclave.keys[0].password_file, None);
    assert_eq!(config.rpc.listen, "127.0.0.1:8545".parse().unwrap());
    let options = rpc::Options { operator_methods: true, ..rpc::Options::default() };
    assert_eq!(config.rpc.options, options);
    assert_eq!(config.enclave.listen, "127.0.0.1:9001".parse().unwrap());
    assert_eq!(config.enclave.limits, EnclaveLimits::default());
    assert_eq!(config.enclave.timeouts, EnclaveTimeouts::default());
    let chain = &config.chain;
    assert_eq!((chain.first_block, chain.reorg_depth_max), (0, 256));
    assert_eq!(chain.confirmations, Confirmations::Blocks(0));
    assert_eq!(config.markers.signer, MarkerSigner::Random);
    assert_eq!(config.markers.gas_price_max, None);
    assert_eq!(config.log.format, LogFormat::Plain);
    assert_eq!(config.definition, NetworkDefinition::coterie("test", 1337, CODE_HASHES));
}

#[test]
fn every_key_of_the_node_is_understood() {
    let files = Files::new(EVERY_KEY, NETWORK);
    let config = files.load().unwrap();
    assert_eq!(config.name, "alice");
    assert_eq!(config.data_dir, Path::new("/var/lib/coterie"));
    assert_eq!(config.chain.poll_interval, Duration::from_millis(500));
    assert_eq!(config.chain.request_timeout, Duration::from_secs(3));
    let chain = &config.chain;
    assert_eq!((chain.first_block, chain.reorg_depth_max), (100, 50));
    assert_eq!(chain.confirmations, Confirmations::Blocks(12));
    assert_eq!(config.rpc.listen, "0.0.0.0:20000".parse().unwrap());
    assert_eq!(config.rpc.options.requests_max, 7);
    assert!(config.rpc.options.operator_methods);
    assert_eq!(config.rpc.options.limits.batch_calls_max, 10);
    let AuthOptions::Tokens(auth) = &config.rpc.options.auth else { panic!() };
    assert!(
        matches!(&auth.source, Source::JwksUrl(url) if url.path() == "/realm/secret/jwks.json")
    );
    assert_eq!(auth.rules.algorithm, Algorithm::Es256);
    assert_eq!(auth.rules.audiences, ["coterie"]);
    assert_eq!(auth.rules.issuers, ["https://issuer.example"]);
    assert_eq!((auth.rules.leeway_s, auth.refresh_interval), (30, Duration::from_secs(60)));
    let tenants = TenantLimits {
        calls_per_s: 100,
        requests_max: 5,
        connections_max: 6,
        subscriptions_max: 9,
    };
    assert_eq!(auth.tenants, tenants);
    let origins = ["https://app.example", "http://localhost:3000"];
    let origins = origins.map(axum::http::HeaderValue::from_static).to_vec();
    assert_eq!(config.rpc.options.cors, rpc::Cors::Origins(origins));
    assert_eq!(config.enclave.listen, "[::]:0".parse().unwrap());
    assert_eq!(config.enclave.keys[0].password_file, Some(files.path("a.pw")));
    assert_eq!(config.enclave.keys[1].file, Path::new("/b.key"));
    assert_eq!(config.enclave.peers.len(), 2);
    assert!(!config.enclave.discovery);
    assert_eq!(config.enclave.limits.stranger_payloads_max, 0);
    let limits = config.enclave.limits;
    assert_eq!((limits.co_member_payloads_max, limits.co_member_bytes_max), (10, 11));
    assert_eq!(limits.co_member_rate_per_s, 12);
    assert_eq!(config.enclave.timeouts.challenge, Duration::from_millis(4));
    assert_eq!(config.markers.signer, MarkerSigner::KeyFile(files.path("marker.key")));
    assert_eq!(config.markers.gas_price_max, Some(16));
    assert_eq!(config.rpc.receipt_wait, Duration::from_millis(200));
    assert_eq!(config.rpc.logs_max, 20);
    assert_eq!(config.compare_interval, Duration::from_millis(250));
    assert_eq!(config.state_resident_bytes_max, 64 << 20);
    assert_eq!(config.log.format, LogFormat::Json);

    let shown = config.resolved();
    assert!(shown.contains("https://chain.example/…"), "{shown}");
    assert!(shown.contains("the key set at https://issuer.example/…"), "{shown}");
    for secret in ["user", "pass@", "token", "secret"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    assert!(toml::from_str::<toml::Table>(&shown).is_ok(), "{shown}");
}

#[test]
fn every_key_of_the_network_is_understood() {
    let network = r#"
        name = "test"
        rules = "coterie"
        chain_id = 1337
        private_gas_cap = 50000000
        public_reads_max = 10
        members_max = 20
        beneficiary = "0x00000000000000000000000000000000000000aa"
        management_code_hashes = [
            "0x1111111111111111111111111111111111111111111111111111111111111111",
            "0x2222222222222222222222222222222222222222222222222222222222222222",
        ]
        forks = [{ name = "london", block = 0 }, { name = "cancun", time = 1700000000 }]
        [[genesis_accounts]]
        address = "0x00000000000000000000000000000000000020bb"
        balance = "1000000000000000000000"
        [[genesis_accounts]]
        address = "0x00000000000000000000000000000000000020aa"
        nonce = 1
        code = "0x6001"
        storage = { "0x10" = "0x01", 2 = 5 }
    "#;
    let definition = Files::new(MINIMAL, network).load().unwrap().definition;
    assert_eq!(definition.rules, Rules::Coterie);
    assert_eq!(definition.private_gas_cap, 50_000_000);
    assert_eq!((definition.public_reads_max, definition.members_max), (10, 20));
    let fixed = address!("00000000000000000000000000000000000000aa");
    assert_eq!(definition.beneficiary, Beneficiary::Fixed(fixed));
    let hashes = [B256::repeat_byte(0x11), B256::repeat_byte(0x22)];
    assert_eq!(definition.management_code_hashes, hashes);
    let forks =
        [(Fork::London, Activation::Block(0)), (Fork::Cancun, Activation::Time(1_700_000_000))];
    assert_eq!(definition.forks, forks);
    let [first, second] = definition.genesis_accounts.as_slice() else { panic!() };
    assert_eq!(first.address, address!("00000000000000000000000000000000000020aa"));
    assert_eq!(first.storage, [(U256::from(2), U256::from(5)), (U256::from(16), U256::from(1))]);
    assert_eq!(second.balance, U256::from(1000) * U256::from(10).pow(U256::from(18)));
}

#[test]
fn unknown_and_missing_keys_are_named_with_the_known_ones() {
    check_config_error(&MINIMAL.replace("data_dir", "datadir"), &["datadir", "`data_dir`"]);
    check_config_error(&MINIMAL.replace("url =", "# url ="), &["missing field `url`"]);
    check_config_error(&format!("{MINIMAL}\n[rcp]\nport = 1"), &["rcp", "`rpc`", "line"]);
    check_config_error(
        &format!("{MINIMAL}\n[rpc]\nport = 70000"),
        &["port", "70000", "0 to 65535"],
    );
    check_config_error("network = ", &["line 1"]);
    let key = "[[enclave.keys]]\n    file = \"tm.key\"";
    let keys = MINIMAL.replace(key, "[enclave]\n    keys = [7]");
    check_config_error(&keys, &["expected { file = "]);
    check_network_error("name = \"x\"\nchainid = 1", &["chainid", "`chain_id`"]);
}

#[test]
fn values_without_meaning_are_named_with_what_is_expected() {
    for (section, words) in [
        ("[rpc]\nhost = \"my host\"", ["rpc.host", "my host", "IP address"]),
        ("[rpc]\ncors_origins = [\"app\"]", ["rpc.cors_origins", "app", "origin"]),
        ("[rpc]\ncors_origins = [\"https://a.b/c\"]", ["rpc.cors_origins", "a.b", "origin"]),
        ("[rpc]\nrequests_max = 0", ["rpc.requests_max", "0", "above 0"]),
        ("[rpc]\nrequest_timeout_ms = 0", ["rpc.request_timeout_ms", "0", "milliseconds"]),
        ("[enclave.limits]\npeers_max = 0", ["enclave.limits.peers_max", "0", "above 0"]),
        (
            "[enclave.limits]\nco_member_payloads_max = 0",
            ["enclave.limits.co_member_payloads_max", "0", "above 0"],
        ),
        ("[enclave.timeouts]\nconnect_ms = 0", ["enclave.timeouts.connect_ms", "0", "milli"]),
        ("[markers]\ngas_price_max_wei = \"1.5\"", ["markers.gas_price_max_wei", "1.5", "wei"]),
        ("[markers]\ngas_price_max_wei = \"0x\"", ["markers.gas_price_max_wei", "0x", "wei"]),
        ("[log]\nformat = \"xml\"", ["log.format", "xml", "json"]),
        ("[log]\nfilter = \"a=b=c\"", ["log.filter", "a=b=c", "filter"]),
    ] {
        check_config_error(&format!("{MINIMAL}\n{section}"), &words);
    }
    let url = |url: &str| MINIMAL.replace("http://127.0.0.1:8545", url);
    check_config_error(&url("localhost:8545"), &["chain.url", "localhost:8545", "http://"]);
    check_config_error(&MINIMAL.replace("[[enclave.keys]]", "[enclave]\nkeys = []\n[extra]"), &[]);
    let keyless =
        MINIMAL.replace("[[enclave.keys]]\n    file = \"tm.key\"", "[enclave]\nkeys = []");
    check_config_error(&keyless, &["enclave.keys", "coterie keys generate"]);
}

#[test]
fn a_password_in_a_wrong_url_is_not_repeated() {
    let config = MINIMAL.replace("http://127.0.0.1:8545", "ftp://me:secret@chain");
    let text = message(&Files::new(&config, NETWORK).load().unwrap_err());
    assert!(text.contains("@chain") && !text.contains("secret"), "{text}");
}

#[test]
fn a_definition_that_defines_nothing_is_refused() {
    for (line, words) in [
        ("rules = \"tessera\"", ["rules", "tessera", "besu"]),
        ("rules = \"besu\"", ["besu", "management_code_hashes", "must be given"]),
        ("beneficiary = \"nobody\"", ["beneficiary", "nobody", "header"]),
        ("management_code_hashes = [\"0x1\", \"0x2\"]", ["hashes", "0x1", "32 bytes"]),
        ("forks = [{ name = \"petersburg\", block = 0 }]", ["forks", "petersburg", "prague"]),
        ("forks = [{ name = \"london\" }]", ["forks", "london", "block or time"]),
        ("forks = [{ name = \"london\", block = 5 }]", ["first fork", "block 0", "active"]),
        ("private_gas_cap = 1", ["gas cap", "between", "30000000"]),
        ("genesis_accounts = [{ address = \"0x7c\" }]", ["address", "0x7c", "20 bytes"]),
    ] {
        check_network_error(&format!("{NETWORK}{line}"), &words);
    }
    let account = |fields: &str| {
        let address = "0x00000000000000000000000000000000000020aa";
        format!("{NETWORK}genesis_accounts = [{{ address = \"{address}\", {fields} }}]")
    };
    check_network_error(&account("balance = \"x\""), &["20aa.balance", "wei"]);
    check_network_error(&account("code = \"0x1\""), &["20aa.code", "hex"]);
    check_network_error(&account("storage = { x = 1 }"), &["20aa.storage", "hex"]);
    check_network_error(&account("storage = { 1 = 1, \"0x1\" = 1 }"), &["not in ascending order"]);
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let files = Files::new(MINIMAL, NETWORK);
    let text = message(&Config::load(&files.path("other.toml")).unwrap_err());
    assert!(text.contains("other.toml") && text.contains("No such file"), "{text}");
    fs::remove_file(files.path("network.toml")).unwrap();
    let text = message(&files.load().unwrap_err());
    assert!(text.contains("network.toml"), "{text}");
}

#[test]
fn a_file_that_is_no_configuration_is_not_shown() {
    for secret in [
        "{\"config\": {\"data\": {\"bytes\": \"secret\"}}}",
        "secret",
        "c2VjcmV0==\n",
        "-----BEGIN PRIVATE KEY-----\nsecret\n",
    ] {
        let error = message(&Files::new(secret, NETWORK).load().unwrap_err());
        assert!(!error.contains("secret") && !error.contains("c2Vj"), "{error}");
        assert!(error.contains("line 1") || error.contains("it is JSON"), "{error}");
    }
}

#[test]
fn names_of_hosts_are_open_unless_there_is_no_other_barrier() {
    let hosts = |lines: &str| {
        let files = Files::new(&format!("{MINIMAL}\n[rpc]\n{lines}\n"), NETWORK);
        files.load().unwrap().rpc.options.hosts
    };
    assert_eq!(hosts(""), Hosts::Names(Vec::new()));
    assert_eq!(hosts("host = \"0.0.0.0\""), Hosts::Any);
    assert_eq!(hosts("[rpc.auth]\npublic_key_file = \"a\""), Hosts::Any);
    assert_eq!(hosts("host_allowlist = [\"*\"]"), Hosts::Any);
    let named = Hosts::Names(vec!["node.example".to_owned()]);
    assert_eq!(hosts("host = \"0.0.0.0\"\nhost_allowlist = [\"Node.example\"]"), named);
    for wrong in ["[\"\"]", "[\"a:80\"]", "[\"*\", \"a\"]", "[\"http://a\"]"] {
        let config = format!("{MINIMAL}\n[rpc]\nhost_allowlist = {wrong}\n");
        check_config_error(&config, &["rpc.host_allowlist", "without port"]);
    }
}

#[test]
fn problems_are_found_before_the_node_starts() {
    let keys = |config: &Config| -> Vec<&'static str> {
        config.problems().iter().map(|it| it.key).collect()
    };
    let files = Files::new(MINIMAL, NETWORK);
    let mut config = files.load().unwrap();
    assert_eq!(
        keys(&config),
        ["enclave.keys.file", "markers.signing_key_file", "enclave.peers", "chain.confirmations"]
    );
    assert_eq!(config.problems()[0].severity, Severity::Error);
    assert!(config.problems()[0].to_string().contains("tm.key"));

    fs::write(files.path("tm.key"), "").unwrap();
    let others = |mode: u32| {
        let permissions = std::os::unix::fs::PermissionsExt::from_mode(mode);
        fs::set_permissions(files.path("tm.key"), permissions).unwrap();
    };
    others(0o640);
    config.enclave.peers = vec![Url::parse("http://bob:9001").unwrap()];
    config.chain.confirmations = Confirmations::Finalized;
    config.markers.signer = MarkerSigner::KeyFile(files.path("tm.key"));
    assert_eq!(keys(&config), [""; 0]);
    others(0o644);
    assert_eq!(keys(&config), ["enclave.keys.file", "markers.signing_key_file"]);
    others(0o600);

    config.markers.signer = MarkerSigner::Random;
    config.rpc.listen = "0.0.0.0:9001".parse().unwrap();
    config.enclave.listen = "0.0.0.0:9001".parse().unwrap();
    config.enclave.keys[0].password_file = Some(files.path(""));
    config.data_dir = files.path("tm.key");
    assert_eq!(
        keys(&config),
        [
            "enclave.keys.password_file",
            "node.data_dir",
            "markers.signing_key_file",
            "rpc.host",
            "enclave.advertised_url",
            "enclave.port",
        ]
    );
}

/// The keys of `[rpc.auth]` that exclude those of [`EVERY_KEY`].
const OTHER_AUTH_KEYS: [&str; 6] = [
    "public_key_file",
    "secret_file",
    "jwks_file",
    "credentials_file",
    "login_attempts_per_user_per_min",
    "login_attempts_per_min",
];

fn with_auth(lines: &str) -> Files {
    Files::new(&format!("{MINIMAL}\n[rpc.auth]\n{lines}\n"), NETWORK)
}

#[test]
fn callers_are_authenticated_from_one_source() {
    for (lines, source, algorithm) in [
        ("public_key_file = \"a\"", Source::PublicKeyFile as fn(PathBuf) -> Source, "RS256"),
        ("public_key_file = \"a\"\nalgorithm = \"ES384\"", Source::PublicKeyFile, "ES384"),
        ("secret_file = \"a\"\nalgorithm = \"HS256\"", Source::SecretFile, "HS256"),
        ("jwks_file = \"a\"\nalgorithm = \"PS512\"", Source::JwksFile, "PS512"),
        (
            "credentials_file = \"a\"\nlogin_attempts_per_user_per_min = 3\nlogin_attempts_per_min = 4",
            Source::CredentialsFile,
            "RS256",
        ),
    ] {
        let files = with_auth(lines);
        let config = files.load().unwrap();
        let AuthOptions::Tokens(auth) = &config.rpc.options.auth else { panic!("{lines}") };
        assert_eq!(auth.source, source(files.path("a")));
        assert_eq!(auth.rules.algorithm.name(), algorithm);
        let issues = lines.contains("login");
        let limits = LoginLimits { per_user_per_min: 3, per_min: 4 };
        assert_eq!(auth.login, if issues { limits } else { LoginLimits::default() });
        assert_eq!(config.resolved().contains("login_attempts_per_min = 4"), issues);
        let problems = config.problems();
        let unreadable = |it: &Problem| it.key.starts_with("rpc.auth.") && it.text.contains("/a:");
        assert_eq!(problems.iter().filter(|it| unreadable(it)).count(), 1, "{problems:?}");
    }
    let open = Files::new(MINIMAL, NETWORK).load().unwrap();
    assert_eq!(open.rpc.options.auth, AuthOptions::None);
    assert!(!open.resolved().contains("[rpc.auth]"));
}

#[test]
fn mistakes_about_authentication_say_what_to_do() {
    let check = |lines: &str, words: &[&str]| {
        let text = message(&with_auth(lines).load().unwrap_err());
        for word in words {
            assert!(text.contains(word), "{word:?} is not in: {text}");
        }
    };
    let key = |more: &str| format!("public_key_file = \"a\"\n{more}");
    check("", &["exactly one of", "jwks_url"]);
    check(&key("jwks_file = \"b\""), &["exactly one of"]);
    check(
        &key("algorithm = \"ES512\""),
        &["rpc.auth.algorithm", "ES512 is not supported", "ES384"],
    );
    check(&key("algorithm = \"none\""), &["rpc.auth.algorithm", "none", "RS256"]);
    check(&key("algorithm = \"rs256\""), &["rpc.auth.algorithm", "rs256", "RS256"]);
    check(&key("algorithm = \"HS256\""), &["secret_file", "public keys"]);
    check("jwks_file = \"a\"\nalgorithm = \"HS256\"", &["secret_file", "public keys"]);
    check("secret_file = \"a\"", &["algorithm = \"HS256\""]);
    check("secret_file = \"a\"\nalgorithm = \"RS256\"", &["secret_file", "only with it"]);
    check("credentials_file = \"a\"\nalgorithm = \"ES256\"", &["this node signs", "leave"]);
    check("credentials_file = \"a\"\nissuers = [\"x\"]", &["leave them out"]);
    check(&key("login_attempts_per_min = 3"), &["credentials_file"]);
    check(&key("audiences = []"), &["rpc.auth.audiences", "at least one"]);
    check(&key("issuers = [\"\"]"), &["rpc.auth.issuers", "at least one"]);
    check(&key("leeway_s = 301"), &["rpc.auth.leeway_s", "301", "300 seconds"]);
    check(&key("calls_per_s = 0"), &["rpc.auth.calls_per_s", "above 0"]);
    for limit in ["requests_max", "connections_max", "subscriptions_max"] {
        check(&key(&format!("{limit} = 0")), &[&format!("rpc.auth.{limit}"), "above 0"]);
    }
    check(&key("refresh_interval_ms = 0"), &["rpc.auth.refresh_interval_ms", "above 0"]);
    check(&key("public_key = \"x\""), &["public_key", "`public_key_file`"]);
    check("jwks_url = \"file:///etc/passwd\"", &["rpc.auth.jwks_url", "http://"]);
    let text = message(&with_auth("jwks_url = \"ftp://me:secret@a\"").load().unwrap_err());
    assert!(!text.contains("secret@"), "{text}");
}

#[test]
fn a_key_set_in_clear_and_tokens_in_clear_are_warned_of() {
    let keys = |url: &str, host: &str| -> Vec<&'static str> {
        let mut config = with_auth(&format!("jwks_url = \"{url}\"")).load().unwrap();
        config.rpc.listen = format!("{host}:8545").parse().unwrap();
        let problems = config.problems().into_iter().filter(|it| it.key.starts_with("rpc"));
        problems.map(|it| it.key).collect()
    };
    assert_eq!(keys("https://issuer.example/", "127.0.0.1"), [""; 0]);
    assert_eq!(keys("http://issuer.example/", "127.0.0.1"), ["rpc.auth.jwks_url"]);
    for here in ["http://localhost:1/", "http://127.0.0.9/", "http://[::1]/"] {
        assert_eq!(keys(here, "127.0.0.1"), [""; 0], "{here}");
    }
    assert_eq!(keys("https://issuer.example/", "0.0.0.0"), ["rpc.host"]);
}

/// The blocks of README.md that are fenced as TOML, by the file name in their first line.
fn readme_blocks() -> std::collections::BTreeMap<String, String> {
    let readme = include_str!("../../../README.md").replace("\r\n", "\n");
    let blocks = readme.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let named = blocks.filter_map(|block| {
        let name = block.trim_start().strip_prefix("# ")?.lines().next()?;
        Some((name.to_owned(), block.to_owned()))
    });
    named.collect()
}

#[test]
fn the_files_in_the_readme_work() {
    let blocks = readme_blocks();
    let files = Files::new(&blocks["node.toml"], &blocks["network.toml"]);
    for key in ["enclave.key", "marker.key"] {
        fs::write(files.path(key), "").unwrap();
    }
    let config = files.load().unwrap();
    let errors: Vec<_> =
        config.problems().into_iter().filter(|it| it.severity == Severity::Error).collect();
    assert_eq!(errors, []);
}

#[test]
fn the_readme_names_every_key() {
    let readme = include_str!("../../../README.md");
    let table: toml::Table = EVERY_KEY.parse().unwrap();
    for key in OTHER_AUTH_KEYS {
        let row = format!("| `rpc.auth.{key}` |");
        assert!(readme.contains(&row), "README.md has no row for {key}");
    }
    let mut open: Vec<(String, toml::Value)> =
        table.into_iter().filter(|(_, value)| value.is_table()).collect();
    while let Some((section, value)) = open.pop() {
        for (key, value) in value.as_table().unwrap() {
            let name = format!("{section}.{key}");
            if value.is_table() {
                open.push((name, value.clone()));
            } else {
                assert!(
                    readme.contains(&format!("| `{name}` |")),
                    "README.md has no row for {name}"
                );
            }
        }
    }
}
