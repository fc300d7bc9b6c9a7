//! The hostile corpus: every token has a name and the reason for which it must fall. Where the attack
//! is not the signature, the token is signed with the right key, so that only what is hostile about
//! it can be why it is refused. To the outside all refusals are the same.

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD as B64},
};

use super::*;

/// What a token is shown to.
#[derive(Clone, Copy)]
enum Target {
    /// A node with one public key, or one secret.
    Only(Algorithm),
    /// A node with two keys for RS256, named [`FIRST`] and [`SECOND`].
    Set,
}

use Target::{Only, Set};

struct Hostile {
    name: String,
    target: Target,
    token: String,
    why: BadToken,
}

const RS256: Algorithm = Algorithm::Rs256;
const ES256: Algorithm = Algorithm::Es256;
const HS256: Algorithm = Algorithm::Hs256;
const FIRST: &str = "first";
const SECOND: &str = "second";

/// Where attacks are gathered.
#[derive(Default)]
struct Corpus(Vec<Hostile>);

impl Corpus {
    fn add(
        &mut self,
        name: impl Into<String>,
        target: Target,
        token: impl Into<String>,
        why: BadToken,
    ) {
        self.0.push(Hostile { name: name.into(), target, token: token.into(), why });
    }

    /// A token that is signed with the right key and has this header.
    fn header(&mut self, name: &str, header: impl AsRef<str>, why: BadToken) {
        let token = signed(RS256, header.as_ref(), &claims().to_string());
        self.add(name, Only(RS256), token, why);
    }

    /// A token that is signed with the right key and has this payload.
    fn payload(&mut self, name: &str, payload: impl AsRef<str>, why: BadToken) {
        let token = signed(RS256, r#"{"alg":"RS256"}"#, payload.as_ref());
        self.add(name, Only(RS256), token, why);
    }

    /// [`claims`] with a member of these JSON bytes, signed with the right key.
    fn claim(&mut self, name: &str, json: &str, why: BadToken) {
        let mut members: Vec<String> = claims()
            .as_object()
            .unwrap()
            .iter()
            .filter(|(it, _)| *it != name)
            .map(|(it, value)| format!("\"{it}\":{value}"))
            .collect();
        members.push(format!("\"{name}\":{json}"));
        let payload = format!("{{{}}}", members.join(","));
        self.payload(&format!("{name} = {json:.40}"), payload, why);
    }

    /// A token whose header names this `kid`, as JSON.
    fn kid(&mut self, json: &str, why: BadToken) {
        let header = format!(r#"{{"alg":"RS256","kid":{json}}}"#);
        let token = signed(RS256, &header, &claims().to_string());
        self.add(format!("kid = {json:.40}"), Set, token, why);
    }
}

fn signed(algorithm: Algorithm, header: &str, payload: &str) -> String {
    issuer(algorithm).key.sign(header, payload).unwrap()
}

/// `message` with a signature of these bytes.
fn forged(header: &str, signature: &[u8]) -> String {
    format!("{}.{}", message(header), B64.encode(signature))
}

fn message(header: &str) -> String {
    format!("{}.{}", B64.encode(header), B64.encode(claims().to_string()))
}

/// What HMAC with `secret` makes of a token with this header.
fn hmac(secret: &[u8], header: &str) -> String {
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret);
    forged(header, aws_lc_rs::hmac::sign(&key, message(header).as_bytes()).as_ref())
}

fn good() -> String {
    signed(RS256, r#"{"alg":"RS256"}"#, &claims().to_string())
}

fn corpus() -> Vec<Hostile> {
    let mut it = Corpus::default();
    unsigned(&mut it);
    confused(&mut it);
    foreign_keys(&mut it);
    named_keys(&mut it);
    bad_signatures(&mut it);
    misspelt(&mut it);
    bad_json(&mut it);
    bad_claims(&mut it);
    it.0
}

/// `none` in all its spellings, without a signature and with one.
fn unsigned(it: &mut Corpus) {
    for name in ["none", "None", "NONE", "nOnE", "noNe", "none ", " none", "n\\u006fne"] {
        let header = format!(r#"{{"alg":"{name}"}}"#);
        it.add(format!("{name}, unsigned"), Only(RS256), forged(&header, b""), BadToken::Form);
        it.add(format!("{name}, two parts"), Only(RS256), message(&header), BadToken::Form);
        it.add(format!("{name}, zero"), Only(RS256), forged(&header, &[0]), BadToken::Algorithm);
        let kept = signed(RS256, &header, &claims().to_string());
        it.add(format!("{name}, signed"), Only(RS256), kept, BadToken::Algorithm);
    }
    for alg in [
        r#""""#,
        "null",
        "[\"RS256\"]",
        "{\"RS256\":1}",
        "256",
        "true",
        r#""rs256""#,
        r#""RS256 ""#,
        r#""RS256\u0000""#,
    ] {
        it.header(&format!("alg = {alg}"), format!(r#"{{"alg":{alg}}}"#), BadToken::Algorithm);
    }
    it.header("no alg", "{}", BadToken::Algorithm);
    it.header("Alg", r#"{"Alg":"RS256"}"#, BadToken::Algorithm);
}

/// Another algorithm than the configured one, with everything public as the secret.
fn confused(it: &mut Corpus) {
    for (kind, algorithm) in [
        ("RS256", RS256),
        ("ES256", ES256),
        ("ES384", Algorithm::Es384),
        ("PS256", Algorithm::Ps256),
    ] {
        let key = issuer(algorithm).key;
        let pem = key.to_public_pem().unwrap();
        let der = super::super::keys::pem(&pem).unwrap().1;
        let forms: [(&str, Vec<u8>); 9] = [
            ("PEM", pem.clone().into_bytes()),
            ("PEM without line end", pem.trim_end().into()),
            ("PEM with CRLF", pem.replace('\n', "\r\n").into_bytes()),
            ("DER", der.to_vec()),
            ("base64 of DER", STANDARD.encode(&der).into_bytes()),
            ("JWK", key.to_jwk().unwrap().to_string().into_bytes()),
            ("JWKS", jwks(&[&key]).into_bytes()),
            ("kid", key.kid().unwrap().into_bytes()),
            ("nothing", Vec::new()),
        ];
        for (form, secret) in forms {
            let target = Only(algorithm);
            for alg in ["HS256", "HS384", "HS512"] {
                let name = format!("{alg} with {kind}'s {form}");
                it.add(
                    name,
                    target,
                    hmac(&secret, &format!(r#"{{"alg":"{alg}"}}"#)),
                    BadToken::Algorithm,
                );
            }
            let posing = hmac(&secret, &format!(r#"{{"alg":"{kind}"}}"#));
            it.add(
                format!("{form} as secret, posing as {kind}"),
                target,
                posing,
                BadToken::Signature,
            );
        }
    }
    // Every algorithm against every other, each time by the issuer itself.
    for ours in Algorithm::ALL {
        for other in Algorithm::ALL.into_iter().filter(|it| *it != ours) {
            let token = issuer(other).key.token(&claims()).unwrap();
            it.add(format!("{other} for {ours}"), Only(ours), token, BadToken::Algorithm);
            let posing = signed(other, &format!(r#"{{"alg":"{ours}"}}"#), &claims().to_string());
            it.add(format!("{other} posing as {ours}"), Only(ours), posing, BadToken::Signature);
        }
    }
    it.add("an empty secret", Only(HS256), hmac(b"", r#"{"alg":"HS256"}"#), BadToken::Signature);
    let short = hmac(SECRET.as_bytes(), r#"{"alg":"HS256"}"#);
    let short = short.get(..short.len() - 22).unwrap();
    it.add("half of an HMAC", Only(HS256), short, BadToken::Form);
}

/// Keys, addresses of keys, and changes of meaning that a token brings along.
fn foreign_keys(it: &mut Corpus) {
    let own = SigningKey::read(&OTHER_RSA, RS256).unwrap();
    let jwk = own.to_jwk().unwrap();
    for (name, member) in [
        ("jwk", jwk.clone()),
        ("jku", json!("https://attacker.example/jwks.json")),
        ("jku", json!("file:///etc/passwd")),
        ("x5u", json!("http://127.0.0.1:1/cert.pem")),
        ("x5c", json!(["MIIB"])),
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("b64", json!(false)),
        ("b64", json!(true)),
        ("cty", json!("JWT")),
        ("zip", json!("DEF")),
        ("enc", json!("A128GCM")),
        ("epk", jwk),
    ] {
        let header = json!({ "alg": "RS256", (name): member }).to_string();
        let forged = own.sign(&header, &claims().to_string()).unwrap();
        it.add(format!("{name} by a stranger"), Only(RS256), forged, BadToken::ForeignHeader);
        it.header(&format!("{name} by the issuer"), header, BadToken::ForeignHeader);
    }
    it.header("typ of an ID token", r#"{"alg":"RS256","typ":"JOSE"}"#, BadToken::ForeignHeader);
    it.header("typ of a logout", r#"{"alg":"RS256","typ":"logout+jwt"}"#, BadToken::ForeignHeader);
    it.header("typ is a number", r#"{"alg":"RS256","typ":1}"#, BadToken::Header);
    it.payload("nested", good(), BadToken::Claims);
    it.payload("nested as text", format!("{:?}", good()), BadToken::Claims);
    let detached = message(r#"{"alg":"RS256","b64":false,"crit":["b64"]}"#);
    let (header, _) = detached.split_once('.').unwrap();
    let signature = issuer(RS256).key.signature(format!("{header}.").as_bytes()).unwrap();
    it.add("detached", Only(RS256), format!("{header}..{}", B64.encode(signature)), BadToken::Form);
    it.add("encrypted", Only(RS256), format!("{}.a.b", good()), BadToken::Form);
}

/// `kid` as a path, as a query, as anything but a name.
fn named_keys(it: &mut Corpus) {
    for kid in [
        "../../../../../../dev/null",
        "/dev/null",
        "/proc/self/environ",
        "..\\\\..\\\\windows",
        "file:///etc/passwd",
        "https://attacker.example/jwks.json",
        "' OR '1'='1",
        "x' UNION SELECT 'k",
        "first'; DROP TABLE keys;--",
        "| whoami",
        "$(whoami)",
        "`id`",
        "first\\u0000",
        "first\\n",
        " first",
        "First",
        "first/../second",
        "firs",
        "first,second",
        "*",
        "%",
        "",
        "{{7*7}}",
        "${jndi:ldap://x}",
    ] {
        it.kid(&format!("\"{kid}\""), BadToken::UnknownKey);
    }
    for kid in ["1", "null", "true", "[\"first\"]", "{\"first\":1}"] {
        it.kid(kid, BadToken::Header);
    }
    it.kid(&format!("\"{}\"", "x".repeat(257)), BadToken::Header);
    it.kid(&format!("\"{SECOND}\""), BadToken::Signature);
    let header = r#"{"alg":"HS256","kid":"/dev/null"}"#;
    it.add("kid of an empty file, HS256", Set, hmac(b"", header), BadToken::Algorithm);
    let without = signed(RS256, r#"{"alg":"RS256"}"#, &claims().to_string());
    it.add("no kid where there are two keys", Set, without, BadToken::UnknownKey);
}

/// Signatures of nothing.
fn bad_signatures(it: &mut Corpus) {
    for (target, alg, size) in [(ES256, "ES256", 32), (Algorithm::Es384, "ES384", 48)] {
        let header = format!(r#"{{"alg":"{alg}"}}"#);
        let mut add = |name: &str, signature: &[u8]| {
            it.add(
                format!("{alg}, {name}"),
                Only(target),
                forged(&header, signature),
                BadToken::Signature,
            );
        };
        let (zero, mut one) = (vec![0; size], vec![0; size]);
        one[size - 1] = 1;
        add("psychic: r = s = 0", &[zero.clone(), zero.clone()].concat());
        add("r = 0", &[zero.clone(), one.clone()].concat());
        add("s = 0", &[one.clone(), zero].concat());
        add("r = s = 1", &[one.clone(), one].concat());
        add("r = s = 2^n - 1", &vec![0xff; 2 * size]);
        add("DER of r = s = 0", &[0x30, 6, 2, 1, 0, 2, 1, 0]);
        add("a byte", &[0]);
        let real = issuer(target).key.signature(message(&header).as_bytes()).unwrap();
        add("a byte too many", &[&real[..], &[0]].concat());
        add("a byte too few", &real[..2 * size - 1]);
        add("halves exchanged", &[&real[size..], &real[..size]].concat());
        let order = [0; 16];
        add("with zeros before", &[&order, &real[..]].concat());
    }
    // r = s = n of P-256.
    let n = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
    let n = alloy_primitives::hex::decode(n.repeat(2)).unwrap();
    it.add(
        "ES256, psychic: r = s = n",
        Only(ES256),
        forged(r#"{"alg":"ES256"}"#, &n),
        BadToken::Signature,
    );
    let header = r#"{"alg":"RS256"}"#;
    let real = issuer(RS256).key.signature(message(header).as_bytes()).unwrap();
    for (name, signature) in [
        ("zeros", vec![0; 256]),
        ("one", [vec![0; 255], vec![1]].concat()),
        ("ones", vec![0xff; 256]),
        ("a byte too many", [&real[..], &[0]].concat()),
        ("a zero before", [&[0], &real[..]].concat()),
        ("a byte too few", real[..255].to_vec()),
        ("twice", [&real[..], &real].concat()),
        (
            "another key's",
            SigningKey::read(&OTHER_RSA, RS256)
                .unwrap()
                .signature(message(header).as_bytes())
                .unwrap(),
        ),
    ] {
        it.add(
            format!("RS256, {name}"),
            Only(RS256),
            forged(header, &signature),
            BadToken::Signature,
        );
    }
    let token = good();
    let (_, signature) = token.rsplit_once('.').unwrap();
    let other = B64.encode(with(claims(), "exp", (NOW + 61).into()).to_string());
    let swapped = format!("{}.{other}.{signature}", B64.encode(header));
    it.add("a signature of other claims", Only(RS256), swapped, BadToken::Signature);
}

/// Other spellings of a good token, and more or less than one.
fn misspelt(it: &mut Corpus) {
    let good = good();
    let [header, payload, signature] = good.split('.').collect::<Vec<_>>().try_into().unwrap();
    // The last character of 256 bytes holds four bits that must be zero.
    let (start, last) = signature.split_at(signature.len() - 1);
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let at = alphabet.find(last).unwrap();
    let loose = format!("{start}{}", alphabet.get(at + 1..at + 2).unwrap());
    for (name, token) in [
        ("empty", String::new()),
        ("a dot", ".".to_owned()),
        ("two dots", "..".to_owned()),
        ("no dots", "abc".to_owned()),
        ("no payload", format!("{header}..{signature}")),
        ("no header", format!(".{payload}.{signature}")),
        ("no signature", format!("{header}.{payload}.")),
        ("two parts", format!("{header}.{payload}")),
        ("four parts", format!("{good}.x")),
        ("a dot behind", format!("{good}.")),
        ("a dot before", format!(".{good}")),
        ("padding", format!("{good}==")),
        ("padding in the header", format!("{header}=.{payload}.{signature}")),
        ("four characters behind", format!("{good}!!!!")),
        ("a space behind", format!("{good} ")),
        ("a space before", format!(" {good}")),
        ("a tab inside", format!("{header}\t.{payload}.{signature}")),
        ("two tokens", format!("{good},{good}")),
        ("bits left over in the signature", format!("{header}.{payload}.{loose}")),
        ("the standard alphabet", format!("{header}.{payload}.{start}+")),
        ("percent signs", good.replace('.', "%2E")),
        ("quotes", format!("\"{good}\"")),
        (
            "JSON form",
            json!({ "payload": payload, "protected": header, "signature": signature }).to_string(),
        ),
    ] {
        it.add(name, Only(RS256), token, BadToken::Form);
    }
    // A byte of the signature more, spelt as it should be.
    it.add("a character behind", Only(RS256), format!("{good}A"), BadToken::Signature);
    let long = |size: usize| format!("{good}{}", "A".repeat(size - good.len()));
    it.add("8 KiB and a byte", Only(RS256), long((8 << 10) + 1), BadToken::TooLong);
    it.add("1 MB", Only(RS256), long(1 << 20), BadToken::TooLong);
    it.add("a million dots", Only(RS256), ".".repeat(1 << 20), BadToken::TooLong);
}

/// JSON that parsers read differently, all signed with the right key.
fn bad_json(it: &mut Corpus) {
    for (name, header) in [
        ("alg twice, none first", r#"{"alg":"none","alg":"RS256"}"#),
        ("alg twice, none last", r#"{"alg":"RS256","alg":"none"}"#),
        ("alg twice, escaped", r#"{"alg":"RS256","\u0061lg":"none"}"#),
        ("kid twice", r#"{"alg":"RS256","kid":"a","kid":"b"}"#),
        ("a list", r#"["RS256"]"#),
        ("a text", r#""RS256""#),
        ("more behind", r#"{"alg":"RS256"}{"alg":"none"}"#),
        ("a comment", r#"{"alg":"RS256"/**/}"#),
        ("a comma too many", r#"{"alg":"RS256",}"#),
        ("single quotes", "{'alg':'RS256'}"),
        ("a byte order mark", "\u{feff}{\"alg\":\"RS256\"}"),
        ("a NUL behind", "{\"alg\":\"RS256\"}\0"),
        ("a lone surrogate", r#"{"alg":"RS256","kid":"\ud800"}"#),
    ] {
        it.header(&format!("header: {name}"), header, BadToken::Header);
    }
    let deep = format!(r#"{{"alg":"RS256","x":{}1{}}}"#, "[".repeat(500), "]".repeat(500));
    it.header("header: deep", deep, BadToken::Header);
    let claims = claims().to_string();
    let more = |text: &str| claims.replacen('{', &format!("{{{text},"), 1);
    for (name, payload) in [
        ("exp twice", more(r#""exp":1"#)),
        ("exp twice, escaped", more(r#""\u0065xp":1"#)),
        ("permissions twice", more(r#""permissions":["*:*"]"#)),
        ("tenant twice", more(r#""privacyUserId":"x""#)),
        ("a member twice inside", more(r#""x":{"a":1,"a":2}"#)),
        ("a list", format!("[{claims}]")),
        ("more behind", format!("{claims}{claims}")),
        ("a number too large", more(r#""x":1e400"#)),
        ("no number", more(r#""x":NaN"#)),
        ("nothing", " ".to_owned()),
        ("null", "null".to_owned()),
    ] {
        it.payload(&format!("payload: {name}"), payload, BadToken::Claims);
    }
    let bytes = [&b"{\"x\":\"\xff\","[..], &claims.as_bytes()[1..]].concat();
    let message = format!("{}.{}", B64.encode(r#"{"alg":"RS256"}"#), B64.encode(bytes));
    let signature = issuer(RS256).key.signature(message.as_bytes()).unwrap();
    let token = format!("{message}.{}", B64.encode(signature));
    it.add("payload: invalid UTF-8", Only(RS256), token, BadToken::Claims);
}

/// Claims that say too much, too little or something else.
fn bad_claims(it: &mut Corpus) {
    it.payload("no claims", "{}", BadToken::Claims);
    it.payload("no exp", with(claims(), "exp", Value::Null).to_string(), BadToken::Claims);
    it.claim("exp", &(NOW - LEEWAY).to_string(), BadToken::Expired);
    for past in ["0", "1"] {
        it.claim("exp", past, BadToken::Expired);
    }
    for (name, value) in [
        ("exp", "null"),
        ("exp", "true"),
        ("exp", "-1"),
        ("exp", "\"1000060\""),
        ("exp", "[1000060]"),
        ("exp", "1000060.0"),
        ("exp", "1000060.5"),
        ("exp", "1e9"),
        ("exp", "1e300"),
        ("exp", "9007199254740992"),
        ("exp", "9223372036854775808"),
        ("exp", "18446744073709551615"),
        ("exp", "18446744073709551616"),
        ("nbf", "null"),
        ("nbf", "\"0\""),
        ("nbf", "-1"),
        ("nbf", "0.5"),
        ("nbf", "1e300"),
        ("permissions", "null"),
        ("permissions", "\"*:*\""),
        ("permissions", "{\"*:*\":true}"),
        ("permissions", "[\"*:*\",1]"),
        ("permissions", "[[\"*:*\"]]"),
        ("privacyUserId", "null"),
        ("privacyUserId", "7"),
        ("privacyUserId", "[\"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=\"]"),
    ] {
        it.claim(name, value, BadToken::Claims);
    }
    it.claim("nbf", &(NOW + LEEWAY + 1).to_string(), BadToken::NotYet);
    it.claim("nbf", "9007199254740991", BadToken::NotYet);
    let (own, foreign) = (HELD.to_base64(), NOT_HELD.to_base64());
    let bare = own.trim_end_matches('=');
    for key in [
        "",
        " ",
        "x",
        "BwcH",
        "restricted",
        "0x0707",
        &foreign,
        bare,
        &format!("{own}\\n"),
        &format!(" {own}"),
        &format!("{own}{own}"),
        &own.replace('B', "b"),
        &format!("{bare}d="),
    ] {
        it.claim("privacyUserId", &format!("\"{key}\""), BadToken::ForeignEnclaveKey);
    }
    let both = with(claims(), "privacyPublicKey", own.into());
    let both = with(both, "privacyUserId", foreign.into());
    it.payload("the first key wins", both.to_string(), BadToken::ForeignEnclaveKey);
}

/// What each kind of node says to a token: its reason within, its answer without.
struct Nodes {
    #[expect(dead_code, reason = "the nodes' files are in it")]
    directory: tempfile::TempDir,
    by_algorithm: Vec<Authenticator>,
    with_set: Authenticator,
}

impl Nodes {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let options = |source: Source, algorithm: Algorithm| {
            let mut options = TokenOptions::new(source);
            options.rules = rules(algorithm);
            node(options).1
        };
        let by_algorithm = Algorithm::ALL.map(|algorithm| {
            let file = path(algorithm.name());
            match issuer(algorithm).key.to_public_pem() {
                Ok(public) => {
                    std::fs::write(&file, public).unwrap();
                    options(Source::PublicKeyFile(file), algorithm)
                }
                Err(_) => {
                    std::fs::write(&file, SECRET).unwrap();
                    options(Source::SecretFile(file), algorithm)
                }
            }
        });
        let named = |key: SigningKey, kid: &str| with(key.to_jwk().unwrap(), "kid", kid.into());
        let other = SigningKey::read(&OTHER_RSA, RS256).unwrap();
        let set = json!({ "keys": [named(issuer(RS256).key, FIRST), named(other, SECOND)] });
        std::fs::write(path("jwks"), set.to_string()).unwrap();
        let with_set = options(Source::JwksFile(path("jwks")), RS256);
        Self { directory, by_algorithm: by_algorithm.into(), with_set }
    }

    fn of(&self, target: Target) -> &Authenticator {
        let Only(algorithm) = target else { return &self.with_set };
        let index = Algorithm::ALL.iter().position(|it| *it == algorithm).unwrap();
        &self.by_algorithm[index]
    }

    /// The reason within.
    fn reason(&self, target: Target, token: &str) -> Option<BadToken> {
        let Mode::Tokens(tokens) = &self.of(target).mode else { panic!("an open node") };
        let keys = Arc::clone(&tokens.keys.read());
        match token::verify(token, &keys, &tokens.options.rules, NOW, &tokens.verified) {
            Err(reason) => Some(reason),
            Ok(claims)
                if claims.enclave_key.as_ref().is_some_and(|it| !tokens.held.contains(it)) =>
            {
                Some(BadToken::ForeignEnclaveKey)
            }
            Ok(_) => None,
        }
    }
}

#[test]
fn every_hostile_token_falls_for_its_own_reason_and_gets_the_same_answer() {
    let nodes = Nodes::start();
    let corpus = corpus();
    let names: std::collections::BTreeSet<_> = corpus.iter().map(|it| &it.name).collect();
    assert!(names.len() >= 250, "{} names", names.len());
    let mut problems = Vec::new();
    for Hostile { name, target, token, why } in &corpus {
        let reason = nodes.reason(*target, token);
        if reason != Some(*why) {
            problems.push(format!("{name}: {reason:?} instead of {why:?}"));
        }
        match nodes.of(*target).authenticate(&headers(token)) {
            Err(Unauthorized) => {}
            Ok(_) => problems.push(format!("{name}: accepted")),
        }
    }
    assert!(
        problems.is_empty(),
        "{} of {}:\n{}",
        problems.len(),
        corpus.len(),
        problems.join("\n")
    );
}

#[test]
fn the_nodes_of_the_corpus_take_good_tokens() {
    let nodes = Nodes::start();
    for algorithm in Algorithm::ALL {
        let token = issuer(algorithm).key.token(&claims()).unwrap();
        assert_eq!(nodes.reason(Only(algorithm), &token), None, "{algorithm}");
        assert!(nodes.of(Only(algorithm)).authenticate(&headers(&token)).is_ok());
    }
    let header = |kid: &str| format!(r#"{{"alg":"RS256","kid":"{kid}"}}"#);
    let first = signed(RS256, &header(FIRST), &claims().to_string());
    assert!(nodes.of(Set).authenticate(&headers(&first)).is_ok());
    let other = SigningKey::read(&OTHER_RSA, RS256).unwrap();
    let second = other.sign(&header(SECOND), &claims().to_string()).unwrap();
    assert!(nodes.of(Set).authenticate(&headers(&second)).is_ok());
    let longest = with(claims(), "x", "x".repeat(5_000).into());
    let longest = issuer(RS256).key.token(&longest).unwrap();
    assert!(longest.len() < 8 << 10);
    assert!(nodes.of(Only(RS256)).authenticate(&headers(&longest)).is_ok());
}

proptest::proptest! {
    /// One bit of a token makes it another's.
    #[test]
    fn no_changed_token_is_good(at: proptest::sample::Index, bit in 0..7_u8) {
        let it = issuer(ES256);
        let good = it.key.token(&claims()).unwrap();
        let (rules, verified) = (rules(ES256), Verified::default());
        proptest::prop_assert!(token::verify(&good, &it.keys, &rules, NOW, &verified).is_ok());
        let mut bytes = good.into_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        if let Ok(token) = String::from_utf8(bytes) {
            let judged = token::verify(&token, &it.keys, &rules, NOW, &verified);
            proptest::prop_assert!(judged.is_err());
        }
    }

    /// Nothing that is sent makes it panic.
    #[test]
    fn any_text_is_judged(text: String, parts: [Vec<u8>; 3]) {
        let it = issuer(ES256);
        let parts = parts.map(|it| B64.encode(it)).join(".");
        for token in [text, parts] {
            let judged = token::verify(&token, &it.keys, &rules(ES256), NOW, &Verified::default());
            proptest::prop_assert!(judged.is_err());
        }
    }
}
