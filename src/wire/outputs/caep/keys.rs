//! The keys that sign security event tokens: PEM in, signatures and public keys out.
//!
//! Knows RSA keys, compact signatures (RFC 7515) and key sets (RFC 7517). Must not know what is signed, nor where keys are
//! kept; shows no private key.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use ring::rand::SystemRandom;
use ring::rsa::{KeyPair, PublicKeyComponents};
use ring::signature::RSA_PKCS1_SHA256;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Most keys in one place: the one that signs, some that will, some that did.
const MOST_KEYS: usize = 16;

/// Why keys cannot be used. No text shows a key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// There is none.
    #[error(
        "there is no private key (PEM) in it: make one with `openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048`"
    )]
    None,
    /// There are too many.
    #[error("there are more than {MOST_KEYS} keys in it: remove those that nobody needs any more")]
    TooMany,
    /// What stands there is no PEM.
    #[error("key number {number} cannot be read as PEM: {why}; write it there anew")]
    Pem {
        /// Which, from 1.
        number: usize,
        /// What is wrong with it.
        why: String,
    },
    /// It is a key that we cannot sign with.
    #[error(
        "key number {number} cannot be used: {why}; give an RSA key of 2048, 3072 or 4096 bits (PKCS #8 or PKCS #1)"
    )]
    Key {
        /// Which, from 1.
        number: usize,
        /// What is wrong with it.
        why: String,
    },
}

/// Nothing could be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key cannot sign, or the system gives no random numbers; see that it has a source of them")]
pub struct SignError;

struct Key {
    /// Its name in headers and in the key set: its thumbprint (RFC 7638).
    id: String,
    pair: KeyPair,
    modulus: String,
    exponent: String,
}

/// Keys, of which the first signs and all are published.
pub struct Keys {
    signs: Key,
    others: Vec<Key>,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.all().map(|key| &key.id)).finish()
    }
}

impl Keys {
    /// Reads private keys, one after the other.
    ///
    /// * `pem`: 1 to 16 RSA keys of 2048 to 4096 bits, PKCS #8 or PKCS #1; other text around them is passed over.
    ///
    /// # Errors
    ///
    /// When there is no key, or one cannot be used.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let mut keys = Vec::new();
        for (found, number) in PrivateKeyDer::pem_slice_iter(pem.as_bytes()).zip(1..) {
            if number > MOST_KEYS {
                return Err(KeyError::TooMany);
            }
            let found = found.map_err(|error| KeyError::Pem { number, why: error.to_string() })?;
            keys.push(Key::new(&found).map_err(|why| KeyError::Key { number, why })?);
        }
        let mut keys = keys.into_iter();
        let signs = keys.next().ok_or(KeyError::None)?;
        Ok(Self { signs, others: keys.collect() })
    }

    fn all(&self) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.signs).chain(&self.others)
    }

    /// A compact signature by the first key, RS256: equal claims give equal bytes.
    ///
    /// * `kind`: value of `typ`.
    /// * `claims`: JSON.
    ///
    /// # Errors
    ///
    /// When the system gives no random numbers, with which the key is hidden while it is used.
    pub fn sign(&self, kind: &str, claims: &[u8]) -> Result<String, SignError> {
        let header = json!({ "alg": "RS256", "kid": self.signs.id, "typ": kind }).to_string();
        let mut token = format!("{}.{}", BASE64.encode(header), BASE64.encode(claims));
        let mut signature = vec![0; self.signs.pair.public().modulus_len()];
        self.signs
            .pair
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), token.as_bytes(), &mut signature)
            .map_err(|_| SignError)?;
        token.push('.');
        token.push_str(&BASE64.encode(signature));
        Ok(token)
    }

    /// The public keys as a key set (RFC 7517), the one that signs first.
    pub fn public(&self) -> Value {
        let key = |key: &Key| json!({ "kty": "RSA", "use": "sig", "alg": "RS256", "kid": key.id, "n": key.modulus, "e": key.exponent });
        json!({ "keys": self.all().map(key).collect::<Vec<_>>() })
    }
}

impl Key {
    fn new(der: &PrivateKeyDer<'_>) -> Result<Self, String> {
        let pair = match der {
            PrivateKeyDer::Pkcs8(der) => KeyPair::from_pkcs8(der.secret_pkcs8_der()),
            PrivateKeyDer::Pkcs1(der) => KeyPair::from_der(der.secret_pkcs1_der()),
            _ => return Err("it is no RSA key".to_owned()),
        };
        let pair = pair.map_err(|why| why.to_string())?;
        let PublicKeyComponents { n, e }: PublicKeyComponents<Vec<u8>> = pair.public().into();
        let (modulus, exponent) = (BASE64.encode(n), BASE64.encode(e));
        // The members that RFC 7638 names, in their order, without a space.
        let thumbprint = format!("{{\"e\":\"{exponent}\",\"kty\":\"RSA\",\"n\":\"{modulus}\"}}");
        let id = BASE64.encode(Sha256::digest(thumbprint));
        Ok(Self { id, pair, modulus, exponent })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEM: &str = include_str!("../../../../tests/data/outputs/caep-keys.pem");

    #[test]
    fn the_first_key_signs_and_all_are_published() {
        let keys = Keys::from_pem(PEM).unwrap();
        let public = keys.public();
        let ids: Vec<&str> =
            public["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap()).collect();
        assert_eq!(ids.len(), 2);
        assert_ne!(ids[0], ids[1]);
        let token = keys.sign("x", b"{}").unwrap();
        let header = BASE64.decode(token.split('.').next().unwrap()).unwrap();
        let header: Value = serde_json::from_slice(&header).unwrap();
        assert_eq!(header, json!({ "alg": "RS256", "kid": ids[0], "typ": "x" }));
        assert_eq!(token, keys.sign("x", b"{}").unwrap(), "equal claims give equal bytes");
        assert!(!format!("{keys:?}{public}").contains("\"d\""));
    }

    #[test]
    fn what_is_no_key_is_told_with_a_remedy_and_without_its_content() {
        let cut = PEM.replacen("MII", "MIJ", 1);
        let many = PEM.repeat(9);
        let broken = PEM.replacen("-----END", "hunter2", 1);
        for (pem, part) in [
            ("", "there is no private key"),
            ("hunter2", "there is no private key"),
            (cut.as_str(), "key number 1 cannot be used"),
            (many.as_str(), "more than 16 keys"),
            (broken.as_str(), "key number 1 cannot be read as PEM"),
        ] {
            let told = Keys::from_pem(pem).unwrap_err().to_string();
            assert!(told.contains(part) && !told.contains("hunter2"), "{told}");
        }
    }
}
