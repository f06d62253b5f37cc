//! Access tokens: made, published, checked.
//!
//! Tokens are real RS256 tokens, so that a client's own verification can be tested. Checking a
//! signature costs more than all the rest of a request, so tokens already seen are looked up by
//! their text; only an unknown one is verified.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::jwk::{Jwk, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::errors::ApiError;

const KEY: &[u8] = include_bytes!("../keys/simulator-key.pem");
const CERTIFICATE: &str = include_str!("../keys/simulator-certificate.pem");
/// SHA-1 of the certificate, as `x5t` wants it: `openssl x509 -outform der | openssl dgst -sha1
/// -binary | base64url`. Written down rather than computed, to need no SHA-1 in the program.
const CERTIFICATE_SHA1: &str = "yDeOZhrQNZiX11DrayNSGWhdVkQ";

/// Claims of a machine-to-machine token.
#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: String,
    iat: u64,
    exp: u64,
    azp: String,
    scope: String,
    gty: String,
}

/// The rights of a token.
pub(crate) struct Grant {
    expires: u64,
    scopes: Vec<String>,
    uses: AtomicU64,
}

impl Grant {
    fn new(claims: &Claims) -> Self {
        Self {
            expires: claims.exp,
            scopes: claims.scope.split(' ').map(str::to_owned).collect(),
            uses: AtomicU64::new(0),
        }
    }

    /// Counts this use and returns the number of uses including it.
    pub(crate) fn used(&self) -> u64 {
        self.uses.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(crate) fn has_any(&self, scopes: &[&str]) -> bool {
        scopes.iter().any(|wanted| self.scopes.iter().any(|scope| scope == wanted))
    }
}

/// The signing key and the tokens seen so far.
pub(crate) struct Tokens {
    signing: EncodingKey,
    checking: DecodingKey,
    header: Header,
    validation: Validation,
    issuer: String,
    lifetime_s: u64,
    jwks: Vec<u8>,
    known: RwLock<HashMap<String, Arc<Grant>>>,
}

impl Tokens {
    /// Reads the built-in key.
    ///
    /// # Errors
    /// When the built-in key cannot be read, which a test rules out.
    pub(crate) fn new(base_url: &str, lifetime: Duration) -> Result<Self, Error> {
        let signing = EncodingKey::from_rsa_pem(KEY)?;
        let mut jwk = Jwk::from_encoding_key(&signing, Algorithm::RS256)?;
        let kid = jwk.thumbprint(ThumbprintHash::SHA256)?;
        jwk.common.public_key_use = Some(PublicKeyUse::Signature);
        jwk.common.key_id = Some(kid.clone());
        jwk.common.x509_chain = Some(vec![certificate()]);
        jwk.common.x509_sha1_fingerprint = Some(CERTIFICATE_SHA1.to_owned());

        let issuer = format!("{base_url}/");
        let mut validation = Validation::new(Algorithm::RS256);
        validation.set_issuer(&[&issuer]);
        validation.set_required_spec_claims(&["iss", "exp"]);
        // Expiry is judged by the simulator's clock, the audience when the token was issued.
        validation.validate_exp = false;
        validation.validate_aud = false;

        let mut header = Header::new(Algorithm::RS256);
        header.kid = Some(kid);
        Ok(Self {
            checking: DecodingKey::from_jwk(&jwk)?,
            signing,
            header,
            validation,
            issuer,
            lifetime_s: lifetime.as_secs().max(1),
            jwks: serde_json::to_vec(&json!({ "keys": [jwk] })).unwrap_or_default(),
            known: RwLock::new(HashMap::new()),
        })
    }

    pub(crate) fn jwks(&self) -> Vec<u8> {
        self.jwks.clone()
    }

    /// Lifetime of a token in seconds.
    pub(crate) fn lifetime_s(&self) -> u64 {
        self.lifetime_s
    }

    /// Makes a token for a client.
    ///
    /// # Errors
    /// When signing fails.
    pub(crate) fn issue(
        &self,
        client_id: &str,
        audience: &str,
        scopes: &[&str],
        now_ms: u64,
    ) -> Result<String, Error> {
        let issued = now_ms / 1_000;
        let claims = Claims {
            iss: self.issuer.clone(),
            sub: format!("{client_id}@clients"),
            aud: audience.to_owned(),
            iat: issued,
            exp: issued + self.lifetime_s,
            azp: client_id.to_owned(),
            scope: scopes.join(" "),
            gty: "client-credentials".to_owned(),
        };
        let token = jsonwebtoken::encode(&self.header, &claims, &self.signing)?;
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, grant| grant.expires > issued);
        // Two tokens of one second are the same text; the newer one starts with no uses.
        known.insert(token.clone(), Arc::new(Grant::new(&claims)));
        Ok(token)
    }

    /// The rights of a bearer token.
    ///
    /// # Errors
    /// The 401 that Auth0 gives for a token that is malformed, signed with another key, or expired.
    pub(crate) fn check(&self, token: &str, now_ms: u64) -> Result<Arc<Grant>, ApiError> {
        let seen = {
            let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
            known.get(token).cloned()
        };
        let grant = match seen {
            Some(grant) => grant,
            None => self.meet(token)?,
        };
        if now_ms / 1_000 >= grant.expires {
            return Err(ApiError::expired_token());
        }
        Ok(grant)
    }

    /// Verifies a token that is not known, such as one from before a restart, and remembers it.
    fn meet(&self, token: &str) -> Result<Arc<Grant>, ApiError> {
        let claims = jsonwebtoken::decode::<Claims>(token, &self.checking, &self.validation)
            .map_err(|error| match error.kind() {
                ErrorKind::InvalidSignature => ApiError::invalid_signature(),
                _ => ApiError::invalid_token(),
            })?
            .claims;
        let grant = Arc::new(Grant::new(&claims));
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        Ok(known.entry(token.to_owned()).or_insert(grant).clone())
    }
}

/// The certificate as one line of base64.
fn certificate() -> String {
    CERTIFICATE
        .lines()
        .skip_while(|line| !line.starts_with("-----BEGIN"))
        .filter(|line| !line.starts_with("-----"))
        .collect()
}
