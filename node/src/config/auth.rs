//! `[rpc.auth]`: whether callers need tokens, what these are verified with, and what each tenant may
//! use. What the keys mean is in [`TokenOptions`].

use super::{ConfigError, beside, raw::RawAuth, resolve::Place};
use crate::rpc::auth::options::{
    Algorithm, AuthOptions, Family, LoginLimits, Source, TenantLimits, TokenOptions, TokenRules,
};

/// Clocks of machines that are looked after differ by less.
const LEEWAY_S_MAX: u64 = 300;

/// Gives the section its meaning; without one, there is no authentication.
pub(super) fn resolve(at: Place<'_>, raw: Option<&RawAuth>) -> Result<AuthOptions, ConfigError> {
    let Some(raw) = raw else { return Ok(AuthOptions::None) };
    let default = TokenOptions::new(source(at, raw)?);
    let algorithm = algorithm(at, raw, &default.source)?;
    let leeway_s = raw.leeway_s.unwrap_or(default.rules.leeway_s);
    if leeway_s > LEEWAY_S_MAX {
        return Err(at.wrong("rpc.auth.leeway_s", leeway_s.to_string(), "at most 300 seconds"));
    }
    let (tenants, login) = (default.tenants, default.login);
    let issues = matches!(default.source, Source::CredentialsFile(_));
    if issues && (raw.audiences.is_some() || raw.issuers.is_some()) {
        return Err(at.rule(
            "rpc.auth.audiences and rpc.auth.issuers are for tokens of an issuer outside: leave them out beside credentials_file",
        ));
    }
    let login_key = raw.login_attempts_per_user_per_min.or(raw.login_attempts_per_min);
    if !issues && login_key.is_some() {
        return Err(at.rule("limits on logins need rpc.auth.credentials_file"));
    }
    let limit = |key: &str, value: Option<usize>, default: usize| {
        at.limit(&format!("rpc.auth.{key}"), value, default)
    };
    let rate = |key: &str, value: Option<u32>, default: u32| match value {
        Some(0) => Err(at.wrong(&format!("rpc.auth.{key}"), "0", "a limit above 0")),
        other => Ok(other.unwrap_or(default)),
    };
    Ok(AuthOptions::Tokens(Box::new(TokenOptions {
        rules: TokenRules {
            audiences: texts(at, "rpc.auth.audiences", raw.audiences.as_ref())?,
            issuers: texts(at, "rpc.auth.issuers", raw.issuers.as_ref())?,
            algorithm,
            leeway_s,
        },
        refresh_interval: at.millis(
            "rpc.auth.refresh_interval_ms",
            raw.refresh_interval_ms,
            default.refresh_interval,
        )?,
        tenants: TenantLimits {
            calls_per_s: rate("calls_per_s", raw.calls_per_s, tenants.calls_per_s)?,
            requests_max: limit("requests_max", raw.requests_max, tenants.requests_max)?,
            connections_max: limit(
                "connections_max",
                raw.connections_max,
                tenants.connections_max,
            )?,
            subscriptions_max: limit(
                "subscriptions_max",
                raw.subscriptions_max,
                tenants.subscriptions_max,
            )?,
        },
        login: LoginLimits {
            per_user_per_min: rate(
                "login_attempts_per_user_per_min",
                raw.login_attempts_per_user_per_min,
                login.per_user_per_min,
            )?,
            per_min: rate("login_attempts_per_min", raw.login_attempts_per_min, login.per_min)?,
        },
        source: default.source,
    })))
}

fn source(at: Place<'_>, raw: &RawAuth) -> Result<Source, ConfigError> {
    let file = |path: &Option<_>, kind: fn(_) -> Source| {
        path.as_ref().map(|it: &std::path::PathBuf| kind(beside(at.path, it)))
    };
    let url = raw.jwks_url.as_deref().map(|it| at.url("rpc.auth.jwks_url", it)).transpose()?;
    let named = [
        file(&raw.public_key_file, Source::PublicKeyFile),
        file(&raw.secret_file, Source::SecretFile),
        file(&raw.jwks_file, Source::JwksFile),
        url.map(Source::JwksUrl),
        file(&raw.credentials_file, Source::CredentialsFile),
    ];
    let mut named = named.into_iter().flatten();
    match (named.next(), named.next()) {
        (Some(source), None) => Ok(source),
        (None, _) | (Some(_), Some(_)) => Err(at.rule(
            "rpc.auth needs exactly one of public_key_file, secret_file, jwks_file, jwks_url and credentials_file",
        )),
    }
}

fn algorithm(at: Place<'_>, raw: &RawAuth, source: &Source) -> Result<Algorithm, ConfigError> {
    let needs_secret = matches!(source, Source::SecretFile(_));
    let Some(name) = raw.algorithm.as_deref() else {
        return if needs_secret {
            Err(at.rule("rpc.auth.secret_file needs rpc.auth.algorithm = \"HS256\""))
        } else {
            Ok(Algorithm::Rs256)
        };
    };
    let key = "rpc.auth.algorithm";
    let algorithm: Algorithm =
        name.parse().map_err(|_| at.wrong(key, name, Algorithm::EXPECTED))?;
    let is_secret = algorithm.family() == Family::Secret;
    if is_secret != needs_secret {
        return Err(at.rule(
            "HS256 goes with rpc.auth.secret_file and only with it: the others hold public keys",
        ));
    }
    if matches!(source, Source::CredentialsFile(_)) && algorithm != Algorithm::Rs256 {
        return Err(at.rule(
            "with rpc.auth.credentials_file this node signs, with RS256: leave rpc.auth.algorithm out",
        ));
    }
    Ok(algorithm)
}

/// A list that is absent, or has something in it.
fn texts(at: Place<'_>, key: &str, list: Option<&Vec<String>>) -> Result<Vec<String>, ConfigError> {
    let Some(list) = list else { return Ok(Vec::new()) };
    if list.is_empty() || list.iter().any(String::is_empty) {
        return Err(at.wrong(key, format!("{list:?}"), "a list with at least one text"));
    }
    Ok(list.clone())
}
