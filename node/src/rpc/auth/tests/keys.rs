//! Which keys are taken, and what is said of the others.

use super::*;

#[track_caller]
fn check_pem(text: &str, algorithm: Algorithm, want: InvalidKey) {
    assert_eq!(KeySet::of_pem(text, algorithm).unwrap_err(), want, "{algorithm}");
}

#[test]
fn a_public_key_is_of_the_algorithms_kind() {
    for algorithm in Algorithm::ALL {
        for of in [Algorithm::Rs256, Algorithm::Es256, Algorithm::Es384] {
            let public = issuer(of).key.to_public_pem().unwrap();
            let fits = algorithm.family() == of.family();
            match KeySet::of_pem(&public, algorithm) {
                Ok(keys) => assert!(fits && keys.len() == 1, "{algorithm} with a key for {of}"),
                Err(InvalidKey::NeedsSecret) => assert_eq!(algorithm, Algorithm::Hs256),
                Err(error) => assert!(!fits && error == InvalidKey::Kind(algorithm), "{error}"),
            }
        }
    }
}

#[test]
fn other_files_are_named_for_what_they_are() {
    let public = issuer(Algorithm::Rs256).key.to_public_pem().unwrap();
    let labelled = |label: &str| public.replace("PUBLIC KEY", label);
    let rsa = Algorithm::Rs256;
    check_pem(&RSA, rsa, InvalidKey::Private);
    check_pem(&labelled("RSA PRIVATE KEY"), rsa, InvalidKey::Private);
    check_pem(&labelled("CERTIFICATE"), rsa, InvalidKey::Certificate);
    check_pem(&labelled("SOMETHING"), rsa, InvalidKey::NotPem);
    check_pem("", rsa, InvalidKey::NotPem);
    check_pem(&public.replace("-----END", "----END"), rsa, InvalidKey::NotPem);
    check_pem(&format!("{public}{public}"), rsa, InvalidKey::NotPem);
    check_pem(&public.replacen("MII", "MIJ", 1), rsa, InvalidKey::Kind(rsa));
    assert!(KeySet::of_pem(&format!("\n{}\n", public.replace('\n', "\r\n")), rsa).is_ok());
}

#[test]
fn short_rsa_keys_and_strange_exponents_are_refused() {
    let member = |n: usize, e: &[u8]| {
        use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as B64};
        let modulus: Vec<u8> = std::iter::repeat_n(0xff, n).collect();
        json!({ "keys": [{ "kty": "RSA", "n": B64.encode(modulus), "e": B64.encode(e) }] })
    };
    let count =
        |set: Value| KeySet::of_jwks(set.to_string().as_bytes(), Algorithm::Rs256).unwrap().len();
    assert_eq!(count(member(256, &[1, 0, 1])), 1);
    for (n, e) in [
        (128, &[1, 0, 1][..]),
        (255, &[1, 0, 1]),
        (1025, &[1, 0, 1]),
        (256, &[1]),
        (256, &[2]),
        (256, &[]),
        (256, &[1, 0, 0, 0, 1]),
    ] {
        assert_eq!(count(member(n, e)), 0, "{n} {e:?}");
    }
}

#[test]
fn of_a_set_only_usable_keys_are_taken() {
    let good = issuer(Algorithm::Es256).key.to_jwk().unwrap();
    let set = |entry: Value| json!({ "keys": [entry] }).to_string();
    let count =
        |entry: Value| KeySet::of_jwks(set(entry).as_bytes(), Algorithm::Es256).map(|it| it.len());
    assert_eq!(count(good.clone()), Ok(1));
    for name in ["use", "alg", "kid"] {
        assert_eq!(count(with(good.clone(), name, Value::Null)), Ok(1), "{name}");
    }
    assert_eq!(count(with(good.clone(), "key_ops", json!(["verify"]))), Ok(1));
    for (name, value) in [
        ("use", json!("enc")),
        ("use", json!(1)),
        ("alg", json!("ES384")),
        ("alg", json!("none")),
        ("key_ops", json!(["sign"])),
        ("key_ops", json!("verify")),
        ("kty", json!("oct")),
        ("kty", json!("RSA")),
        ("crv", json!("P-384")),
        ("crv", json!("secp256k1")),
        ("x", json!("AA")),
        ("x", json!("")),
        ("y", good["x"].clone()),
        ("d", json!("AA")),
        ("kid", json!(1)),
    ] {
        assert_eq!(count(with(good.clone(), name, value.clone())), Ok(0), "{name} {value}");
    }
    for entry in [json!(null), json!("x"), json!([]), json!({})] {
        assert_eq!(count(entry), Ok(0));
    }
    let secret = json!({ "kty": "oct", "k": "c2VjcmV0", "kid": "a", "alg": "HS256" });
    let keys = KeySet::of_jwks(set(secret).as_bytes(), Algorithm::Hs256).unwrap();
    assert_eq!(keys.len(), 0, "a published secret is none");
}

#[test]
fn what_is_no_key_set_is_refused() {
    let read = |text: &str| KeySet::of_jwks(text.as_bytes(), Algorithm::Rs256).unwrap_err();
    for text in ["", "[]", "{}", "{\"keys\":{}}", "{\"keys\":[],\"keys\":[]}", "<html>", "null"] {
        assert_eq!(read(text), InvalidKey::NotJwks, "{text}");
    }
    let many = json!({ "keys": vec![json!({}); 65] }).to_string();
    assert_eq!(read(&many), InvalidKey::TooMany);
}

#[test]
fn a_secret_is_neither_short_nor_a_key_that_others_have() {
    let read = |bytes: &[u8]| KeySet::of_secret(bytes, Algorithm::Hs256).map(|it| it.len());
    assert_eq!(read(SECRET.as_bytes()), Ok(1));
    assert_eq!(read(&[b'x'; 31]), Err(InvalidKey::ShortSecret));
    assert_eq!(read(b""), Err(InvalidKey::ShortSecret));
    let line_ends = [&[b'x'; 31][..], b"\r\n"].concat();
    assert_eq!(read(&line_ends), Err(InvalidKey::ShortSecret));
    for algorithm in [Algorithm::Rs256, Algorithm::Es256, Algorithm::Es384] {
        let key = issuer(algorithm).key;
        let public = key.to_public_pem().unwrap();
        let der = super::super::keys::pem(&public).unwrap().1;
        let jwk = key.to_jwk().unwrap().to_string();
        let body: String = public.lines().filter(|it| !it.starts_with('-')).collect();
        for form in
            [public.as_bytes(), &der, jwk.as_bytes(), jwks(&[&key]).as_bytes(), body.as_bytes()]
        {
            assert_eq!(read(form), Err(InvalidKey::KeyAsSecret), "{algorithm}");
        }
    }
    let with_public_keys = KeySet::of_secret(SECRET.as_bytes(), Algorithm::Rs256);
    assert_eq!(with_public_keys.unwrap_err(), InvalidKey::NeedsPublicKey);
}

#[test]
fn the_name_of_a_key_is_its_thumbprint() {
    // RFC 7638, 3.1.
    let kid = |key: &SigningKey| key.kid().unwrap();
    let first = issuer(Algorithm::Rs256).key;
    assert_eq!(kid(&first), kid(&issuer(Algorithm::Ps512).key), "of the key, not the algorithm");
    assert_ne!(kid(&first), kid(&SigningKey::read(&OTHER_RSA, Algorithm::Rs256).unwrap()));
    let jwk: jsonwebtoken::jwk::Jwk = serde_json::from_value(first.to_jwk().unwrap()).unwrap();
    let thumbprint = jwk.thumbprint(jsonwebtoken::jwk::ThumbprintHash::SHA256).unwrap();
    assert_eq!(kid(&first), thumbprint);
}
