//! What good tokens are, and what they say.

use super::*;

fn caller(token: &str) -> Result<Caller, Unauthorized> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key.pem");
    std::fs::write(&path, issuer(Algorithm::Es256).key.to_public_pem().unwrap()).unwrap();
    let mut options = TokenOptions::new(Source::PublicKeyFile(path));
    options.rules = rules(Algorithm::Es256);
    node(options).1.authenticate(&headers(token))
}

fn token(claims: &Value) -> String {
    issuer(Algorithm::Es256).key.token(claims).unwrap()
}

#[test]
fn every_algorithm_is_verified_by_its_own_key() {
    for algorithm in Algorithm::ALL {
        let it = issuer(algorithm);
        let token = it.key.token(&claims()).unwrap();
        let (rules, verified) = (rules(algorithm), Verified::default());
        let good = token::verify(&token, &it.keys, &rules, NOW, &verified).unwrap();
        assert_eq!(good.expires, NOW + 60, "{algorithm}");
        assert_eq!(good.enclave_key, Some(HELD));
        // The library's own reading of the whole token agrees.
        let mut validation = jsonwebtoken::Validation::new(algorithm.library());
        validation.validate_exp = false;
        let key = match it.key.to_jwk() {
            Ok(jwk) => {
                let jwk: jsonwebtoken::jwk::Jwk = serde_json::from_value(jwk).unwrap();
                jsonwebtoken::DecodingKey::from_jwk(&jwk).unwrap()
            }
            Err(_) => jsonwebtoken::DecodingKey::from_secret(SECRET.as_bytes()),
        };
        let decoded = jsonwebtoken::decode::<Value>(&token, &key, &validation).unwrap();
        assert_eq!(decoded.claims, claims(), "{algorithm}");
    }
}

#[test]
fn a_remembered_token_is_judged_as_at_first() {
    let it = issuer(Algorithm::Es256);
    let (rules, verified) = (rules(Algorithm::Es256), Verified::default());
    let token = it.key.token(&with(claims(), "nbf", NOW.into())).unwrap();
    let at = |keys: &KeySet, now: u64| token::verify(&token, keys, &rules, now, &verified);
    let good = at(&it.keys, NOW).unwrap();
    assert_eq!(at(&it.keys, NOW), Ok(good.clone()));
    assert_eq!(at(&it.keys, NOW + 60 + LEEWAY), Err(BadToken::Expired));
    assert_eq!(at(&it.keys, NOW - LEEWAY - 1), Err(BadToken::NotYet));
    let other = SigningKey::generate(Algorithm::Es256).unwrap().to_public_pem().unwrap();
    let other = KeySet::of_pem(&other, Algorithm::Es256).unwrap();
    assert_eq!(at(&other, NOW), Err(BadToken::Signature));
    assert_eq!(at(&KeySet::empty(), NOW), Err(BadToken::UnknownKey));
    assert_eq!(at(&it.keys, NOW), Ok(good));
}

#[test]
fn a_token_names_its_tenant_by_either_claim() {
    let at = |name: &str, key: &EnclaveKey| with(claims(), name, key.to_base64().into());
    let tenant = |claims: &Value| caller(&token(claims)).unwrap().tenant;
    assert_eq!(tenant(&claims()), Some(Tenant::holder(HELD)));
    let public = with(at("privacyPublicKey", &ALSO_HELD), "privacyUserId", Value::Null);
    assert_eq!(tenant(&public), Some(Tenant::holder(ALSO_HELD)));
    // The first wins when both are there.
    assert_eq!(tenant(&at("privacyPublicKey", &ALSO_HELD)), Some(Tenant::holder(HELD)));
    assert_eq!(tenant(&at("privacyPublicKey", &NOT_HELD)), Some(Tenant::holder(HELD)));
    assert_eq!(tenant(&with(claims(), "privacyUserId", Value::Null)), None);
}

#[test]
fn a_token_permits_what_it_lists() {
    let some = caller(&token(&claims())).unwrap().permissions;
    assert!(some.allow("priv_call") && some.allow("eth_call"));
    assert!(!some.allow("eth_getLogs") && !some.allow("eea_x"));
    let none = caller(&token(&with(claims(), "permissions", Value::Null))).unwrap();
    assert!(!none.permissions.allow("priv_call"));
}

#[test]
fn times_are_edges() {
    let expires = |at: u64| caller(&token(&with(claims(), "exp", at.into()))).is_ok();
    assert!(expires(NOW - LEEWAY + 1) && !expires(NOW - LEEWAY));
    let begins = |at: u64| caller(&token(&with(claims(), "nbf", at.into()))).is_ok();
    assert!(begins(0) && begins(NOW + LEEWAY) && !begins(NOW + LEEWAY + 1));
    assert!(expires((1 << 53) - 1) && !expires(1 << 53));
}

#[test]
fn informative_members_are_not_looked_at() {
    let more = json!({
        "permissions": [], "exp": NOW + 60, "iat": "then", "sub": 1, "groups": {}, "roles": null,
        "username": "someone", "revision": 3, "aud": "anyone", "iss": [],
    });
    assert!(caller(&token(&more)).is_ok());
    let key = issuer(Algorithm::Es256).key;
    let claims = claims().to_string();
    for header in [
        r#"{"alg":"ES256"}"#,
        r#"{"alg":"ES256","typ":"jwt","kid":"whatever","x5t":"a","nonce":"b"}"#,
        r#"{"alg":"ES256","typ":"application/at+JWT","kid":""}"#,
    ] {
        assert!(caller(&key.sign(header, &claims).unwrap()).is_ok(), "{header}");
    }
}

#[test]
fn the_scheme_is_bearer_in_any_case_and_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key.pem");
    std::fs::write(&path, issuer(Algorithm::Es256).key.to_public_pem().unwrap()).unwrap();
    let mut options = TokenOptions::new(Source::PublicKeyFile(path));
    options.rules = rules(Algorithm::Es256);
    let (_, node) = node(options);
    let good = token(&claims());
    let check = |values: &[&str], want: bool| {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        }
        assert_eq!(node.authenticate(&headers).is_ok(), want, "{values:?}");
    };
    let bearer = format!("Bearer {good}");
    check(&[&bearer], true);
    check(&[&format!("bearer {good}")], true);
    check(&[], false);
    check(&[&good], false);
    check(&[&format!("Bearer  {good}")], false);
    check(&[&format!("Basic {good}")], false);
    check(&[&format!("Bearer{good}")], false);
    check(&["Bearer"], false);
    check(&["Bearer "], false);
    check(&[&bearer, &bearer], false);
    check(&["Basic x", &bearer], false);
    check(&[&format!("{bearer}, {bearer}")], false);
}

#[test]
fn audience_and_issuer_are_asked_for_when_configured() {
    let mut rules = rules(Algorithm::Es256);
    rules.audiences = vec!["node".to_owned(), "other node".to_owned()];
    rules.issuers = vec!["https://issuer".to_owned()];
    let it = issuer(Algorithm::Es256);
    let said = |audience: Value, issuer: Value| {
        let claims = with(with(claims(), "aud", audience), "iss", issuer);
        let token = it.key.token(&claims).unwrap();
        token::verify(&token, &it.keys, &rules, NOW, &Verified::default()).map(|_| ())
    };
    let issuer = json!("https://issuer");
    assert_eq!(said(json!("node"), issuer.clone()), Ok(()));
    assert_eq!(said(json!(["x", "other node"]), issuer.clone()), Ok(()));
    for audience in
        [json!(null), json!("Node"), json!("node "), json!("nod"), json!([]), json!({}), json!(1)]
    {
        assert_eq!(said(audience.clone(), issuer.clone()), Err(BadToken::Audience), "{audience}");
    }
    assert_eq!(said(json!(["node", 1]), issuer), Err(BadToken::Claims));
    for issuer in
        [json!(null), json!("https://issuer/"), json!("HTTPS://issuer"), json!(["https://issuer"])]
    {
        assert_eq!(said(json!("node"), issuer.clone()), Err(BadToken::Issuer), "{issuer}");
    }
}

#[test]
fn without_authentication_everybody_is_the_owner() {
    let node = Authenticator::open(Tenant::owner(HELD));
    for headers in [HeaderMap::new(), headers("nonsense")] {
        let caller = node.authenticate(&headers).unwrap();
        assert_eq!((caller.tenant.clone(), caller.expires), (Some(Tenant::owner(HELD)), None));
        assert!(caller.permissions.allow("anything"));
        assert!(caller.permissions.allow_by_name("coterie_heal"));
        assert!(node.is_still_good(&caller));
        assert!((0..10_000).all(|_| node.count(&caller).is_ok() && node.enter(&caller).is_ok()));
    }
    assert!(!node.issues_tokens());
}
