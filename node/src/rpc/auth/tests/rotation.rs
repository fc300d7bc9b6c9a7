//! Keys come and go while tokens are in use.

use std::{fs, sync::atomic::AtomicUsize};

use axum::{Router, http::StatusCode, response::IntoResponse, routing::get};
use parking_lot::Mutex as Lock;
use tokio::time::timeout;

use super::{super::trust::LOOK_PAUSE, *};

const PATIENCE: Duration = Duration::from_secs(60);

fn key(pem: &str) -> SigningKey {
    SigningKey::read(pem, Algorithm::Rs256).unwrap()
}

fn old() -> SigningKey {
    key(&RSA)
}

fn new() -> SigningKey {
    key(&OTHER_RSA)
}

/// An issuer's key set behind a URL, and how often it was fetched.
#[derive(Default)]
struct Published {
    /// `None`: the issuer fails.
    set: Lock<Option<String>>,
    fetched: AtomicUsize,
}

impl Published {
    async fn serve(set: String) -> (Arc<Self>, Url) {
        let it = Arc::new(Self { set: Lock::new(Some(set)), fetched: AtomicUsize::new(0) });
        let state = Arc::clone(&it);
        let answer = move || {
            let state = Arc::clone(&state);
            async move {
                state.fetched.fetch_add(1, Ordering::SeqCst);
                let set = state.set.lock().clone();
                set.map_or(StatusCode::BAD_GATEWAY.into_response(), IntoResponse::into_response)
            }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/jwks.json", listener.local_addr().unwrap());
        let app = Router::new().route("/jwks.json", get(answer));
        tokio::spawn(async move { axum::serve(listener, app).await });
        (it, url.parse().unwrap())
    }

    fn publish(&self, set: Option<String>) {
        *self.set.lock() = set;
    }

    fn fetched(&self) -> usize {
        self.fetched.load(Ordering::SeqCst)
    }
}

/// A node that looks again as soon as a token asks for it.
fn eager(source: Source) -> Authenticator {
    let mut options = TokenOptions::new(source);
    options.refresh_interval = Duration::from_nanos(1);
    node(options).1
}

/// A node that looks again so rarely that it is not seen here.
fn patient(source: Source) -> Authenticator {
    let mut options = TokenOptions::new(source);
    options.refresh_interval = Duration::from_secs(3600);
    node(options).1
}

fn tokens(node: &Authenticator) -> &Trust {
    let Mode::Tokens(tokens) = &node.mode else { panic!("an open node") };
    tokens
}

async fn takes(node: &Authenticator, key: &SigningKey) -> bool {
    node.authenticate_fresh(&headers(&key.token(&claims()).unwrap())).await.is_ok()
}

#[tokio::test]
async fn tokens_of_an_old_key_end_when_the_set_drops_it() {
    let (issuer, url) = Published::serve(jwks(&[&old()])).await;
    let node = eager(Source::JwksUrl(url));
    assert!(takes(&node, &old()).await);
    assert!(!takes(&node, &new()).await);
    let caller = node.authenticate(&headers(&old().token(&claims()).unwrap())).unwrap();

    // Both are there: both are good, and the first token of the new key is.
    issuer.publish(Some(jwks(&[&new(), &old()])));
    assert!(takes(&node, &new()).await);
    assert!(takes(&node, &old()).await);
    assert!(node.is_still_good(&caller));

    let ended = node.ended(&caller);
    issuer.publish(Some(jwks(&[&new()])));
    assert!(takes(&node, &old()).await, "until the set was looked at");
    let (looked, ()) = tokio::join!(
        async {
            tokio::task::yield_now().await;
            tokens(&node).look().await;
        },
        async { timeout(PATIENCE, ended).await.expect("an open connection ends") }
    );
    assert_eq!(looked, ());
    assert!(!node.is_still_good(&caller));
    assert!(!takes(&node, &old()).await);
    assert!(takes(&node, &new()).await);
}

#[tokio::test]
async fn a_set_that_cannot_be_fetched_leaves_the_last_one() {
    let (issuer, url) = Published::serve(jwks(&[&old()])).await;
    let node = eager(Source::JwksUrl(url));
    assert!(takes(&node, &old()).await);
    let huge = format!("{{\"keys\":[],\"x\":\"{}\"}}", "x".repeat(2 << 20));
    for broken in [None, Some("<html>".to_owned()), Some("{}".to_owned()), Some(huge)] {
        issuer.publish(broken);
        tokens(&node).look().await;
        assert!(takes(&node, &old()).await);
    }
    // A set without keys is an answer: the issuer has taken everything back.
    issuer.publish(Some("{\"keys\":[]}".to_owned()));
    tokens(&node).look().await;
    assert!(!takes(&node, &old()).await);
}

#[tokio::test]
async fn strangers_cannot_make_a_node_fetch_often() {
    let (issuer, url) = Published::serve(jwks(&[&old()])).await;
    let node = patient(Source::JwksUrl(url));
    // Nothing was fetched yet, and the last look was just now.
    assert!(!takes(&node, &old()).await);
    assert_eq!(issuer.fetched(), 0);
    tokens(&node).look().await;
    assert!(takes(&node, &old()).await);
    for _ in 0..100 {
        assert!(!takes(&node, &new()).await);
    }
    assert_eq!(issuer.fetched(), 1);
}

#[tokio::test]
async fn many_tokens_of_a_new_key_share_one_fetch() {
    let (issuer, url) = Published::serve(jwks(&[&old()])).await;
    let mut options = TokenOptions::new(Source::JwksUrl(url));
    options.refresh_interval = Duration::from_secs(3600);
    let node = node(options).1;
    tokens(&node).look().await;
    issuer.publish(Some(jwks(&[&new()])));
    // As if the last look had been long ago.
    *tokens(&node).looked.lock().await -= LOOK_PAUSE;
    let new = new();
    let many = std::iter::repeat_with(|| takes(&node, &new)).take(50);
    assert!(futures::future::join_all(many).await.into_iter().all(|it| it));
    assert_eq!(issuer.fetched(), 2);
}

#[tokio::test]
async fn a_node_looks_by_itself() {
    let (issuer, url) = Published::serve(jwks(&[&old()])).await;
    let mut options = TokenOptions::new(Source::JwksUrl(url));
    options.refresh_interval = Duration::from_millis(5);
    let node = node(options).1;
    let mut changed = tokens(&node).changed.subscribe();
    let steps = async {
        changed.changed().await.unwrap();
        let caller = node.authenticate(&headers(&old().token(&claims()).unwrap())).unwrap();
        issuer.publish(Some(jwks(&[&new()])));
        node.ended(&caller).await;
        assert!(node.authenticate(&headers(&new().token(&claims()).unwrap())).is_ok());
    };
    tokio::select! {
        () = node.watch() => panic!("watching ends"),
        done = timeout(PATIENCE, steps) => done.expect("the node looks"),
    }
}

#[tokio::test]
async fn files_are_looked_at_too() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keys");
    fs::write(&path, jwks(&[&old()])).unwrap();
    let node = eager(Source::JwksFile(path.clone()));
    assert!(takes(&node, &old()).await);
    fs::write(&path, jwks(&[&new()])).unwrap();
    assert!(takes(&node, &new()).await, "an unknown key makes it look");
    assert!(!takes(&node, &old()).await);
    fs::write(&path, "half a fi").unwrap();
    tokens(&node).look().await;
    assert!(takes(&node, &new()).await);
    fs::remove_file(&path).unwrap();
    tokens(&node).look().await;
    assert!(takes(&node, &new()).await);

    fs::write(&path, old().to_public_pem().unwrap()).unwrap();
    let node = patient(Source::PublicKeyFile(path.clone()));
    assert!(takes(&node, &old()).await);
    fs::write(&path, new().to_public_pem().unwrap()).unwrap();
    tokens(&node).look().await;
    assert!(takes(&node, &new()).await);
    assert!(!takes(&node, &old()).await);
}

#[tokio::test]
async fn an_expired_token_ends_a_connection() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keys");
    fs::write(&path, jwks(&[&old()])).unwrap();
    let (time, node) = node(TokenOptions::new(Source::JwksFile(path)));
    let caller = node.authenticate(&headers(&old().token(&claims()).unwrap())).unwrap();
    time.store(NOW + 60 + LEEWAY - 1, Ordering::Relaxed);
    assert!(node.is_still_good(&caller));
    let ending = node.ended(&caller);
    time.store(NOW + 60 + LEEWAY, Ordering::Relaxed);
    timeout(PATIENCE, ending).await.expect("it ends");
    assert!(!node.is_still_good(&caller));
    // A caller of another node is nobody's here.
    let open = Authenticator::open(Tenant::owner(HELD));
    assert!(!open.is_still_good(&caller));
    assert!(!node.is_still_good(&open.authenticate(&HeaderMap::new()).unwrap()));
}

#[test]
fn files_that_cannot_be_used_are_named_at_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    let named = |source: fn(std::path::PathBuf) -> Source, text: Option<&[u8]>, words: &[&str]| {
        let _ = fs::remove_file(&path);
        if let Some(text) = text {
            fs::write(&path, text).unwrap();
        }
        let options = AuthOptions::Tokens(Box::new(TokenOptions::new(source(path.clone()))));
        let found = check(&options, &[HELD]).unwrap_err();
        let started =
            Authenticator::start(options, Tenant::owner(HELD), vec![HELD], clock().1).unwrap_err();
        assert_eq!(found.to_string(), started.to_string());
        let cause = std::error::Error::source(&found).map(ToString::to_string).unwrap_or_default();
        let text = format!("{found}: {cause}");
        for word in words.iter().chain(&["file"]) {
            assert!(text.contains(word), "{word:?} is not in {text}");
        }
    };
    named(Source::PublicKeyFile, None, &["cannot read"]);
    named(Source::PublicKeyFile, Some(b"x"), &["BEGIN PUBLIC KEY"]);
    named(Source::PublicKeyFile, Some(b"\xff"), &["not text"]);
    named(Source::PublicKeyFile, Some(&vec![b'x'; (1 << 20) + 1]), &["1 MiB"]);
    named(Source::JwksFile, Some(b"{}"), &["JSON Web Key Set"]);
    named(Source::JwksFile, Some(b"{\"keys\":[]}"), &["no key for RS256"]);
    named(Source::SecretFile, Some(b"x"), &["HS256 only"]);
    named(Source::CredentialsFile, Some(b""), &["[Users.NAME]"]);
}
