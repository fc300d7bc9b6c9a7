//! Users, passwords, and the tokens that this node issues.

use std::fs;

use super::{options::LoginLimits, *};

struct Desk {
    directory: tempfile::TempDir,
    time: Arc<AtomicU64>,
    node: Authenticator,
}

fn path(directory: &tempfile::TempDir) -> std::path::PathBuf {
    directory.path().join("users.toml")
}

fn user(name: &str, password: &str, key: &EnclaveKey) -> String {
    let hash = bcrypt::hash(password, 4).unwrap();
    format!(
        "[Users.{name}]\npassword = \"{hash}\"\npermissions = [\"priv:*\"]\nprivacyPublicKey = \"{key}\"\n"
    )
}

fn desk_with(file: &str, limits: LoginLimits) -> Desk {
    let directory = tempfile::tempdir().unwrap();
    fs::write(path(&directory), file).unwrap();
    let mut options = TokenOptions::new(Source::CredentialsFile(path(&directory)));
    options.login = limits;
    options.refresh_interval = Duration::from_secs(3600);
    let (time, node) = node(options);
    Desk { directory, time, node }
}

fn desk(file: &str) -> Desk {
    desk_with(file, LoginLimits::default())
}

impl Desk {
    async fn login(&self, name: &str, password: &str) -> Result<String, LoginError> {
        let login = Login { username: name.to_owned(), password: password.to_owned() };
        self.node.login(login).await.map(|it| it.as_str().to_owned())
    }

    /// Changes the file, and makes the node look.
    async fn change(&self, file: &str) {
        fs::write(path(&self.directory), file).unwrap();
        let Mode::Tokens(tokens) = &self.node.mode else { panic!("an open node") };
        tokens.look().await;
    }
}

#[tokio::test]
async fn a_right_password_gives_a_token_for_five_minutes() {
    let desk = desk(&user("alice", "pegasys", &ALSO_HELD));
    assert!(desk.node.issues_tokens());
    let token = desk.login("alice", "pegasys").await.unwrap();
    let caller = desk.node.authenticate(&headers(&token)).unwrap();
    assert_eq!(caller.tenant, Some(Tenant::holder(ALSO_HELD)));
    assert_eq!(caller.expires, Some(NOW + 300));
    assert!(caller.permissions.allow("priv_call") && !caller.permissions.allow("eth_call"));
    desk.time.store(NOW + 300 + LEEWAY - 1, Ordering::Relaxed);
    assert!(desk.node.authenticate(&headers(&token)).is_ok());
    desk.time.store(NOW + 300 + LEEWAY, Ordering::Relaxed);
    assert!(desk.node.authenticate(&headers(&token)).is_err());
    assert!(!desk.node.is_still_good(&caller));
}

#[tokio::test]
async fn anything_else_gives_the_same_answer() {
    let desk = desk(&user("alice", "pegasys", &HELD));
    let long = format!("pegasys{}", "\0".repeat(100));
    for (name, password) in [
        ("alice", "Pegasys"),
        ("alice", ""),
        ("alice", "pegasys "),
        ("alice", long.as_str()),
        ("Alice", "pegasys"),
        ("bob", "pegasys"),
        ("", ""),
        ("Users.alice", "pegasys"),
    ] {
        let error = desk.login(name, password).await.unwrap_err();
        assert_eq!(error, LoginError::Incorrect, "{name} {password}");
    }
    let text = "Authentication failed: the username or password is incorrect.";
    assert_eq!(LoginError::Incorrect.to_string(), text);
}

#[tokio::test]
async fn attempts_are_limited_by_name_known_or_not() {
    let limits = LoginLimits { per_user_per_min: 3, per_min: 100 };
    let desk = desk_with(&user("alice", "pegasys", &HELD), limits);
    // Right ones do not count.
    for _ in 0..10 {
        desk.login("alice", "pegasys").await.unwrap();
    }
    for name in ["alice", "nobody"] {
        for _ in 0..3 {
            assert_eq!(desk.login(name, "x").await.unwrap_err(), LoginError::Incorrect);
        }
        assert_eq!(desk.login(name, "x").await.unwrap_err(), LoginError::TooMany);
        assert_eq!(desk.login(name, "pegasys").await.unwrap_err(), LoginError::TooMany);
    }
}

#[tokio::test]
async fn attempts_are_limited_in_all() {
    let limits = LoginLimits { per_user_per_min: 100, per_min: 5 };
    let desk = desk_with(&user("alice", "pegasys", &HELD), limits);
    for i in 0..5 {
        let error = desk.login(&format!("user{i}"), "x").await.unwrap_err();
        assert_eq!(error, LoginError::Incorrect);
    }
    assert_eq!(desk.login("another", "x").await.unwrap_err(), LoginError::TooMany);
}

#[tokio::test]
async fn a_flood_of_logins_is_refused_at_once() {
    let limits = LoginLimits { per_user_per_min: 10_000, per_min: 10_000 };
    let desk = desk_with(&user("alice", "pegasys", &HELD), limits);
    let flood = (0..200).map(|_| desk.login("alice", "wrong"));
    let answers = futures::future::join_all(flood).await;
    let refused = answers.iter().filter(|it| **it == Err(LoginError::TooMany)).count();
    let compared = answers.iter().filter(|it| **it == Err(LoginError::Incorrect)).count();
    assert_eq!(refused + compared, 200);
    assert!(refused >= 100, "{refused}");
}

#[tokio::test]
async fn who_is_taken_out_or_changed_is_out_at_once() {
    let alice = user("alice", "pegasys", &HELD);
    let bob = user("bob", "Password2", &ALSO_HELD);
    let desk = desk(&format!("{alice}{bob}"));
    let token = desk.login("alice", "pegasys").await.unwrap();
    let others = desk.login("bob", "Password2").await.unwrap();
    let caller = desk.node.authenticate(&headers(&token)).unwrap();
    let other = desk.node.authenticate(&headers(&others)).unwrap();
    let is_good = |token: &str| desk.node.authenticate(&headers(token)).is_ok();

    desk.change(&bob).await;
    assert!(!is_good(&token) && !desk.node.is_still_good(&caller));
    assert!(is_good(&others) && desk.node.is_still_good(&other));
    assert_eq!(desk.login("alice", "pegasys").await.unwrap_err(), LoginError::Incorrect);
    // Back again, but the token is of the time before.
    desk.change(&format!("{alice}{bob}")).await;
    assert!(!is_good(&token) && !desk.node.is_still_good(&caller));
    let again = desk.login("alice", "pegasys").await.unwrap();
    assert!(is_good(&again));
    // Another password, other permissions.
    desk.change(&format!("{}{bob}", user("alice", "other", &HELD))).await;
    assert!(!is_good(&again) && is_good(&others));
    desk.change(&bob.replace("priv:*", "eth:*")).await;
    assert!(!is_good(&others) && !desk.node.is_still_good(&other));
    // A file that cannot be read changes nothing.
    let last = desk.login("bob", "Password2").await.unwrap();
    desk.change("[Users.").await;
    assert!(is_good(&last));
}

#[tokio::test]
async fn only_this_nodes_tokens_are_taken() {
    let file = user("alice", "pegasys", &HELD);
    let (one, other) = (desk(&file), desk(&file));
    let token = one.login("alice", "pegasys").await.unwrap();
    assert!(one.node.authenticate(&headers(&token)).is_ok());
    assert!(other.node.authenticate(&headers(&token)).is_err());
    // The same key, but no user, or a user that says it is another.
    let Mode::Tokens(tokens) = &one.node.mode else { panic!("an open node") };
    let key = tokens.desk.as_ref().unwrap().key();
    for claims in [
        claims(),
        with(claims(), "username", "alice".into()),
        with(with(claims(), "username", "alice".into()), "revision", 1.into()),
        with(with(claims(), "username", "bob".into()), "revision", 0.into()),
        with(with(claims(), "username", 1.into()), "revision", 0.into()),
    ] {
        assert!(one.node.authenticate(&headers(&key.token(&claims).unwrap())).is_err(), "{claims}");
    }
}

#[tokio::test]
async fn a_user_with_a_foreign_key_gets_nowhere() {
    let desk = desk(&user("alice", "pegasys", &NOT_HELD));
    let token = desk.login("alice", "pegasys").await.unwrap();
    assert!(desk.node.authenticate(&headers(&token)).is_err());
}

#[tokio::test]
async fn other_nodes_issue_no_tokens() {
    let login = || Login { username: "a".to_owned(), password: "b".to_owned() };
    let open = Authenticator::open(Tenant::owner(HELD));
    assert_eq!(open.login(login()).await.unwrap_err(), LoginError::NotEnabled);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("key.pem");
    fs::write(&file, issuer(Algorithm::Rs256).key.to_public_pem().unwrap()).unwrap();
    let (_, node) = node(TokenOptions::new(Source::PublicKeyFile(file)));
    assert!(!node.issues_tokens());
    assert_eq!(node.login(login()).await.unwrap_err(), LoginError::NotEnabled);
}

#[test]
fn secrets_are_not_printed() {
    let desk = desk(&user("alice", "pegasys", &HELD));
    let login = Login { username: "alice".to_owned(), password: "pegasys".to_owned() };
    for text in [
        format!("{:?}", desk.node),
        format!("{login:?}"),
        format!("{:?}", issuer(Algorithm::Hs256).key),
    ] {
        assert!(!text.contains("pegasys") && !text.contains(SECRET), "{text}");
    }
}
