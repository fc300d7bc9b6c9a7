//! What is allowed and rarely meant: keys and peers that are named twice, limits that contradict
//! each other.

use super::*;

/// The problems' keys, without those of the smallest configuration.
fn odd(config: &Config) -> Vec<&'static str> {
    let usual = Files::new(MINIMAL, NETWORK).load().unwrap().problems();
    let usual: Vec<_> = usual.iter().map(|it| it.key).collect();
    let problems = config.problems();
    assert!(problems.iter().all(|it| it.severity == Severity::Warning || usual.contains(&it.key)));
    problems.iter().map(|it| it.key).filter(|it| !usual.contains(it)).collect()
}

/// Checks that these lines are warned of under these keys.
#[track_caller]
fn check(lines: &str, want: &[&str]) {
    let files = Files::new(&format!("{MINIMAL}\n{lines}\n"), NETWORK);
    assert_eq!(odd(&files.load().unwrap()), want, "{lines}");
}

#[test]
fn a_key_file_that_is_named_twice_is_warned_of_whatever_it_is_called() {
    let files = Files::new(MINIMAL, NETWORK);
    fs::write(files.path("tm.key"), "").unwrap();
    std::os::unix::fs::symlink(files.path("tm.key"), files.path("link.key")).unwrap();
    fs::write(files.path("other.key"), "").unwrap();
    let mut config = files.load().unwrap();
    for (name, twice) in [
        ("tm.key", true),
        ("./tm.key", true),
        ("link.key", true),
        ("other.key", false),
        ("missing.key", false),
    ] {
        config.enclave.keys.truncate(1);
        config.enclave.keys.push(KeyFile { file: files.path(name), password_file: None });
        let said = config.problems();
        let said: Vec<_> = said.iter().filter(|it| it.key == "enclave.keys").collect();
        assert_eq!(said.len(), usize::from(twice), "{name}: {said:?}");
        assert!(said.iter().all(|it| it.text.contains(name)), "{said:?}");
    }
    // Also when there is no such file.
    config.enclave.keys = vec![KeyFile { file: files.path("no"), password_file: None }; 2];
    assert_eq!(odd(&config), ["enclave.keys"]);
}

#[test]
fn a_key_in_two_files_is_warned_of_when_the_files_are_opened() {
    let key = |byte: u8| EnclaveKey::Nacl([byte; 32]);
    let paths = ["a", "b", "c"].map(Path::new);
    let held = |keys: [u8; 3]| -> Vec<_> { paths.into_iter().zip(keys.map(key)).collect() };
    assert_eq!(Config::repeated_keys(&held([1, 2, 3])), []);
    let [problem] = &Config::repeated_keys(&held([1, 2, 1]))[..] else { panic!() };
    assert_eq!(
        problem.to_string(),
        "warning: enclave.keys: c holds the same key as a: it has no effect"
    );
    assert_eq!(Config::repeated_keys(&held([1, 1, 1])).len(), 2);
    // That a file is named twice is said before it is opened.
    let held = [(paths[0], key(1)), (paths[0], key(1))];
    assert_eq!(Config::repeated_keys(&held), []);
}

#[test]
fn peers_that_are_no_other_node_are_warned_of() {
    let files = Files::new(MINIMAL, NETWORK);
    let check = |listen: &str, advertised: Option<&str>, peers: &[&str], want: &[&str]| {
        let mut config = files.load().unwrap();
        config.enclave.listen = listen.parse().unwrap();
        config.enclave.advertised_url = advertised.map(|it| Url::parse(it).unwrap());
        config.enclave.peers = peers.iter().map(|it| Url::parse(it).unwrap()).collect();
        let said = config.problems();
        let said = said.iter().filter(|it| it.key == "enclave.peers");
        let said: Vec<_> = said.map(|it| it.text.as_str()).collect();
        assert_eq!(said.len(), want.len(), "{listen} {peers:?}: {said:?}");
        for (said, want) in said.iter().zip(want) {
            assert!(said.contains(want), "{want:?} is not in {said:?}");
        }
    };
    let (here, any) = ("127.0.0.1:9001", "0.0.0.0:9001");
    check(here, None, &["http://bob:9001", "http://127.0.0.1:9002", "http://127.0.0.2:9001"], &[]);
    check(here, None, &["http://bob:9001", "http://BOB:9001/"], &["http://bob:9001 is named once"]);
    check(here, None, &["http://bob:80", "http://bob"], &["once more"]);
    check(here, None, &["http://127.0.0.1:9001"], &["is this node itself"]);
    check(here, None, &["http://localhost:9001/"], &["is this node itself"]);
    check(any, None, &["http://[::1]:9001", "http://127.0.0.3:9001"], &["itself", "itself"]);
    check(any, None, &["http://10.0.0.1:9001"], &[]);
    check("10.0.0.1:9001", None, &["http://10.0.0.1:9001"], &["itself"]);
    check("10.0.0.1:9001", None, &["http://localhost:9001"], &[]);
    // Port 0 is any.
    check("127.0.0.1:0", None, &["http://127.0.0.1:0"], &[]);
    let own = Some("https://alice.example:9001/");
    check(any, own, &["https://alice.example:9001"], &["itself"]);
    check(any, own, &["https://alice.example:9002", "http://alice.example:9001"], &[]);
}

#[test]
fn limits_that_leave_others_without_effect_are_warned_of() {
    let ws = |lines: &str| format!("[rpc.ws]\n{lines}");
    check(
        &ws("subscriptions_max = 100\nsubscriptions_per_connection_max = 101"),
        &["rpc.ws.subscriptions_per_connection_max"],
    );
    check(&ws("subscriptions_max = 100\nsubscriptions_per_connection_max = 100"), &[]);
    check("[rpc]\nrequests_max = 15", &["rpc.ws.messages_max"]);
    check("[rpc]\nrequest_timeout_ms = 5000", &["rpc.receipt_wait_ms"]);
    check("[rpc]\nreceipt_wait_ms = 29999", &[]);
    // There is one caller only.
    check("[rpc]\nfilters_max = 10", &[]);
    let enclave = |lines: &str| format!("[enclave.limits]\n{lines}");
    check(&enclave("payload_bytes_max = 4194304"), &[]);
    check(&enclave("payload_bytes_max = 4194305"), &["enclave.limits.message_bytes_max"]);
    check(&enclave("message_bytes_max = 2097151"), &["enclave.limits.message_bytes_max"]);
    check(&enclave("stranger_bytes_max = 4194304"), &[]);
    check(&enclave("stranger_bytes_max = 4194300"), &["enclave.limits.stranger_bytes_max"]);
    // Strangers are refused anyway.
    check(&enclave("stranger_bytes_max = 0\nstranger_payloads_max = 0"), &[]);
    check(&enclave("co_member_bytes_max = 1048575"), &["enclave.limits.co_member_bytes_max"]);
    check(&enclave("co_member_rate_per_s = 199"), &["enclave.limits.co_member_rate_per_s"]);
    check(
        &enclave("co_member_rate_per_s = 0\nstranger_rate_per_s = 0"),
        &["enclave.limits.co_member_rate_per_s"],
    );
    check("[enclave.timeouts]\nconnect_ms = 10001", &["enclave.timeouts.connect_ms"]);
    check("[enclave.timeouts]\nconnect_ms = 10000", &[]);
}

#[test]
fn limits_of_one_tenant_above_those_of_all_are_warned_of() {
    // The smallest configuration has no section for callers, so the file is always missing.
    let check = |rpc: &str, auth: &str, want: &[&str]| {
        let source = if auth.contains("login") { "credentials_file" } else { "public_key_file" };
        let lines = format!("[rpc]\n{rpc}\n[rpc.auth]\n{source} = \"tm.key\"\n{auth}\n");
        let files = Files::new(&format!("{MINIMAL}\n{lines}"), NETWORK);
        fs::write(files.path("tm.key"), "").unwrap();
        assert_eq!(odd(&files.load().unwrap()), want, "{lines}");
    };
    check("", "", &[]);
    check("filters_max = 1023", "", &["rpc.filters_per_tenant_max"]);
    check("filters_per_tenant_max = 8192", "", &[]);
    check("", "requests_max = 257", &["rpc.auth.requests_max"]);
    check("", "requests_max = 15", &["rpc.ws.messages_max"]);
    check("", "connections_max = 1025", &["rpc.auth.connections_max"]);
    check("", "subscriptions_max = 8193", &["rpc.auth.subscriptions_max"]);
    check("", "subscriptions_max = 127", &["rpc.ws.subscriptions_per_connection_max"]);
    check("", "calls_per_s = 1023", &["rpc.batch_calls_max"]);
    let logins = "login_attempts_per_user_per_min = 301";
    check("", logins, &["rpc.auth.login_attempts_per_user_per_min"]);
    check("", "login_attempts_per_min = 10", &[]);
}
