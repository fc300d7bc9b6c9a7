//! What authentication is configured with: plain data. Files are only named here.

use std::{fmt, path::PathBuf, str::FromStr, time::Duration};

use url::Url;

/// Whether callers must prove who they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AuthOptions {
    /// No: whoever reaches the port acts as the owner of the node.
    #[default]
    None,
    /// By a token in every request.
    Tokens(Box<TokenOptions>),
}

/// How tokens are judged, and what their bearers may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenOptions {
    /// What tokens are verified with.
    pub source: Source,
    /// What is asked of a token.
    pub rules: TokenRules,
    /// Between two looks at the source.
    pub refresh_interval: Duration,
    /// For each tenant.
    pub tenants: TenantLimits,
    /// For `POST /login`.
    pub login: LoginLimits,
}

/// What tokens are verified with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// One public key, in PEM.
    PublicKeyFile(PathBuf),
    /// A secret that the issuer shares, for HS256 only.
    SecretFile(PathBuf),
    /// A JSON Web Key Set (RFC 7517).
    JwksFile(PathBuf),
    /// The same, fetched. May carry credentials: not for logs.
    JwksUrl(Url),
    /// Users with passwords, in TOML; this node issues their tokens.
    CredentialsFile(PathBuf),
}

/// What is asked of a token besides its signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRules {
    /// The only algorithm that is accepted, whatever a token says.
    pub algorithm: Algorithm,
    /// One of these must be in `aud`; empty: `aud` is not looked at.
    pub audiences: Vec<String>,
    /// `iss` must be one of these; empty: it is not looked at.
    pub issuers: Vec<String>,
    /// How far clocks may differ, in seconds.
    pub leeway_s: u64,
}

/// What one tenant may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TenantLimits {
    /// Calls a second, each call of a batch counted; as many may come at once.
    pub calls_per_s: u32,
    /// HTTP requests at a time.
    pub requests_max: usize,
    /// WebSockets at a time.
    pub connections_max: usize,
    /// Subscriptions of all its WebSockets.
    pub subscriptions_max: usize,
}

/// How often a login may be tried. One that succeeds does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoginLimits {
    /// Of one user name, a minute.
    pub per_user_per_min: u32,
    /// Of all, a minute.
    pub per_min: u32,
}

impl TokenOptions {
    /// The defaults for tokens that are verified with `source`.
    pub fn new(source: Source) -> Self {
        let refresh_interval = match source {
            Source::JwksUrl(_) => Duration::from_secs(300),
            Source::PublicKeyFile(_)
            | Source::SecretFile(_)
            | Source::JwksFile(_)
            | Source::CredentialsFile(_) => Duration::from_secs(10),
        };
        Self {
            source,
            rules: TokenRules::new(Algorithm::Rs256),
            refresh_interval,
            tenants: TenantLimits::default(),
            login: LoginLimits::default(),
        }
    }
}

impl TokenRules {
    /// Tokens of any issuer for any audience.
    pub const fn new(algorithm: Algorithm) -> Self {
        Self { algorithm, audiences: Vec::new(), issuers: Vec::new(), leeway_s: 5 }
    }
}

impl Default for TenantLimits {
    fn default() -> Self {
        // Of what all tenants may use together, a quarter.
        Self {
            calls_per_s: 2_000,
            requests_max: 64,
            connections_max: 256,
            subscriptions_max: 2_048,
        }
    }
}

impl Default for LoginLimits {
    fn default() -> Self {
        Self { per_user_per_min: 10, per_min: 300 }
    }
}

/// How tokens are signed (RFC 7518, 3.1). `ES512` is not among them: the library has no P-521.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// RSASSA-PSS with SHA-384.
    Ps384,
    /// RSASSA-PSS with SHA-512.
    Ps512,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// HMAC with SHA-256.
    Hs256,
}

/// What kind of key an algorithm takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// RSA of 2048 to 8192 bits.
    Rsa,
    /// P-256.
    P256,
    /// P-384.
    P384,
    /// A shared secret.
    Secret,
}

/// A name that is no algorithm of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a signature algorithm: {}", Algorithm::EXPECTED)]
pub struct UnknownAlgorithm;

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Es256,
        Self::Es384,
        Self::Hs256,
    ];

    /// Their names, for messages.
    pub const EXPECTED: &'static str = "one of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384 or HS256; ES512 is not supported";

    /// The name in a token's header.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Hs256 => "HS256",
        }
    }

    /// What kind of key it takes.
    pub const fn family(self) -> Family {
        match self {
            Self::Rs256 | Self::Rs384 | Self::Rs512 | Self::Ps256 | Self::Ps384 | Self::Ps512 => {
                Family::Rsa
            }
            Self::Es256 => Family::P256,
            Self::Es384 => Family::P384,
            Self::Hs256 => Family::Secret,
        }
    }

    /// The library's name for it.
    pub(super) const fn library(self) -> jsonwebtoken::Algorithm {
        use jsonwebtoken::Algorithm as Library;
        match self {
            Self::Rs256 => Library::RS256,
            Self::Rs384 => Library::RS384,
            Self::Rs512 => Library::RS512,
            Self::Ps256 => Library::PS256,
            Self::Ps384 => Library::PS384,
            Self::Ps512 => Library::PS512,
            Self::Es256 => Library::ES256,
            Self::Es384 => Library::ES384,
            Self::Hs256 => Library::HS256,
        }
    }
}

impl FromStr for Algorithm {
    type Err = UnknownAlgorithm;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|it| it.name() == name).ok_or(UnknownAlgorithm)
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
