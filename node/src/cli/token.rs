//! `coterie token`: keys and tokens for testing and operations, and hashes for credentials files.
//!
//! Tokens go to standard output only. Private keys go to files that did not exist, readable by their
//! owner only.

use std::{
    fs::{self, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use coterie_node::{
    node::unix_time,
    rpc::auth::{
        Permissions,
        options::{Algorithm, Family},
        sign::SigningKey,
    },
};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{PasswordArgs, TokenCommand, TokenSignArgs, out};

/// Keys and passwords are short.
const BYTES_MAX: u64 = 64 << 10;
/// A year: a token that never ends cannot be taken back.
const EXPIRES_IN_S_MAX: u64 = 366 * 24 * 3600;
/// bcrypt sees no more of a password.
const PASSWORD_BYTES: std::ops::RangeInclusive<usize> = 1..=72;

/// Does what was typed.
pub(super) fn run(command: TokenCommand) -> Result<()> {
    match command {
        TokenCommand::Key { path, algorithm } => out::line(make_key(&path, algorithm)?),
        TokenCommand::Sign(args) => out::line(sign(&args, unix_time())?),
        TokenCommand::Password(args) => out::line(hash(&args, &read_password(&args)?)?),
    }
}

/// Makes a key pair, or a secret for HS256. Tells what was written.
fn make_key(path: &Path, algorithm: Algorithm) -> Result<String> {
    let private = with_suffix(path, "key.pem");
    if algorithm.family() == Family::Secret {
        let secret = with_suffix(path, "secret");
        let mut bytes = Zeroizing::new([0; 32]);
        getrandom::fill(bytes.as_mut_slice()).context("the system has no random bytes")?;
        let text = Zeroizing::new(alloy_primitives::hex::encode(bytes.as_slice()));
        write_new(&secret, text.as_bytes(), 0o600)?;
        return Ok(format!("{} (the node and the issuer need it)", secret.display()));
    }
    let (public, jwks) = (with_suffix(path, "pub.pem"), with_suffix(path, "jwks.json"));
    for file in [&private, &public, &jwks] {
        ensure!(!file.exists(), "{} exists: it is not overwritten", file.display());
    }
    let key = SigningKey::generate(algorithm)?;
    let set = serde_json::to_string_pretty(&json!({ "keys": [key.to_jwk()?] }))?;
    write_new(&private, key.to_private_pem()?.as_bytes(), 0o600)?;
    write_new(&public, key.to_public_pem()?.as_bytes(), 0o644)?;
    write_new(&jwks, format!("{set}\n").as_bytes(), 0o644)?;
    Ok(format!(
        "{} (only the issuer needs it)\n{} (for rpc.auth.public_key_file)\n{} (for rpc.auth.jwks_file)\nkid {}",
        private.display(),
        public.display(),
        jwks.display(),
        key.kid()?
    ))
}

/// A token, at `now` in seconds since 1970.
fn sign(args: &TokenSignArgs, now: u64) -> Result<String> {
    let text = read(&args.key)?;
    let key = SigningKey::read(&text, args.algorithm)
        .with_context(|| format!("cannot sign with {}", args.key.display()))?;
    for permission in &args.permission {
        ensure!(
            Permissions::is_permission(permission),
            "{permission:?} is no permission: *:*, namespace:* or namespace:method"
        );
    }
    ensure!(
        (1..=EXPIRES_IN_S_MAX).contains(&args.expires_in),
        "a token ends after 1 second to {EXPIRES_IN_S_MAX} (a year)"
    );
    let mut claims = json!({
        "permissions": args.permission,
        "iat": now,
        "exp": now.saturating_add(args.expires_in),
    });
    let mut add = |name: &str, value: Option<Value>| {
        if let (Some(value), Some(claims)) = (value, claims.as_object_mut()) {
            claims.insert(name.to_owned(), value);
        }
    };
    add("privacyUserId", args.privacy_user_id.as_ref().map(|it| it.to_base64().into()));
    add("aud", args.audience.as_deref().map(Into::into));
    add("iss", args.issuer.as_deref().map(Into::into));
    Ok(key.token(&claims)?)
}

/// A bcrypt hash for a credentials file.
fn hash(args: &PasswordArgs, password: &str) -> Result<String> {
    ensure!(
        PASSWORD_BYTES.contains(&password.len()),
        "a password has 1 to 72 bytes: bcrypt sees no more"
    );
    bcrypt::hash(password, args.cost).context("bcrypt failed")
}

/// The first line of the file, or of standard input: a password on the command line would stay in
/// the shell's history.
fn read_password(args: &PasswordArgs) -> Result<Zeroizing<String>> {
    let text = match &args.password_file {
        Some(path) => read(path)?,
        None => {
            let mut text = Zeroizing::new(String::new());
            io::stdin().take(BYTES_MAX).read_to_string(&mut text).context("cannot read input")?;
            text
        }
    };
    Ok(Zeroizing::new(text.lines().next().unwrap_or_default().to_owned()))
}

fn read(path: &Path) -> Result<Zeroizing<String>> {
    let cannot = || format!("cannot read {}", path.display());
    let size = fs::metadata(path).with_context(cannot)?.len();
    if size > BYTES_MAX {
        bail!("{} is too large for its purpose", path.display());
    }
    Ok(Zeroizing::new(fs::read_to_string(path).with_context(cannot)?))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    name.into()
}

fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    let written = options.open(path).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::http::{HeaderMap, HeaderValue, header};
    use coterie_core::EnclaveKey;
    use coterie_node::{
        rpc::auth::{
            Authenticator, Caller,
            options::{AuthOptions, Source, TokenOptions},
        },
        service::Tenant,
    };

    use super::*;

    const NOW: u64 = 1_000_000;
    const KEY: EnclaveKey = EnclaveKey::Nacl([7; 32]);

    fn caller(source: Source, algorithm: Algorithm, token: &str) -> Option<Caller> {
        let mut options = TokenOptions::new(source);
        options.rules.algorithm = algorithm;
        options.rules.audiences = vec!["node".to_owned()];
        let options = AuthOptions::Tokens(Box::new(options));
        let clock = Arc::new(|| NOW + 59);
        let node = Authenticator::start(options, Tenant::owner(KEY), vec![KEY], clock).unwrap();
        let mut headers = HeaderMap::new();
        let value = HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
        headers.insert(header::AUTHORIZATION, value);
        node.authenticate(&headers).ok()
    }

    fn args(key: PathBuf, algorithm: Algorithm) -> TokenSignArgs {
        TokenSignArgs {
            key,
            algorithm,
            privacy_user_id: Some(KEY),
            permission: vec!["priv:*".to_owned()],
            expires_in: 60,
            audience: Some("node".to_owned()),
            issuer: None,
        }
    }

    #[test]
    fn a_node_takes_what_is_made_here() {
        for algorithm in Algorithm::ALL {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("issuer");
            let at = |suffix: &str| with_suffix(&path, suffix);
            make_key(&path, algorithm).unwrap();
            assert!(make_key(&path, algorithm).is_err(), "existing files are kept");
            let (key, sources) = if algorithm == Algorithm::Hs256 {
                (at("secret"), vec![Source::SecretFile(at("secret"))])
            } else {
                let public = Source::PublicKeyFile(at("pub.pem"));
                (at("key.pem"), vec![public, Source::JwksFile(at("jwks.json"))])
            };
            let token = sign(&args(key, algorithm), NOW).unwrap();
            for source in sources {
                let caller = caller(source, algorithm, &token).unwrap();
                assert_eq!(caller.tenant, Some(Tenant::holder(KEY)));
                assert_eq!(caller.expires, Some(NOW + 60));
                assert!(caller.permissions.allow("priv_call"));
                assert!(!caller.permissions.allow("eth_call"));
            }
        }
    }

    #[cfg(unix)]
    #[test]
    fn private_keys_are_for_their_owner_only() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("issuer");
        make_key(&path, Algorithm::Es256).unwrap();
        make_key(&path, Algorithm::Hs256).unwrap();
        for suffix in ["key.pem", "secret"] {
            let mode = fs::metadata(with_suffix(&path, suffix)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{suffix}");
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("issuer");
        make_key(&path, Algorithm::Es256).unwrap();
        let good = args(with_suffix(&path, "key.pem"), Algorithm::Es256);
        let error = |args: &TokenSignArgs| format!("{:#}", sign(args, NOW).unwrap_err());
        let public = with_suffix(&path, "pub.pem");
        assert!(error(&TokenSignArgs { key: public, ..good.clone() }).contains("private key"));
        let other = TokenSignArgs { algorithm: Algorithm::Rs256, ..good.clone() };
        assert!(error(&other).contains("RS256"));
        let permission = vec!["priv_call".to_owned()];
        assert!(error(&TokenSignArgs { permission, ..good.clone() }).contains("namespace:method"));
        for expires_in in [0, u64::MAX] {
            assert!(error(&TokenSignArgs { expires_in, ..good.clone() }).contains("a year"));
        }
    }

    #[test]
    fn passwords_are_hashed_from_the_first_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("password");
        fs::write(&path, "secret word\nmore\n").unwrap();
        let args = PasswordArgs { password_file: Some(path), cost: 4 };
        let password = read_password(&args).unwrap();
        let made = hash(&args, &password).unwrap();
        assert!(made.starts_with("$2b$04$"));
        assert!(bcrypt::verify("secret word", &made).unwrap());
        assert!(hash(&args, "").is_err());
        assert!(hash(&args, &"x".repeat(73)).is_err());
    }
}
