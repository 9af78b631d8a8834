//! A broker with a listener for each way in, whose certificates and tokens are made here.
//!
//! Knows what a broker wants of certificates, users and keys of tokens. Must not know what is tried on it.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::json;

use crate::authority::{Authority, Issued};
use crate::kafka::rig::{Beyond, Cluster, PASSWORD, USER};

/// Where broker and tests are.
const HERE: &str = "127.0.0.1";

/// The broker, and what opens its doors.
pub struct House {
    pub cluster: Cluster,
    /// What is to be trusted.
    pub authority_file: PathBuf,
    /// An authority of which the broker has nothing.
    pub stranger: PathBuf,
    /// Of a client that the broker lets in, the one after it, and one that it does not let in.
    pub client: Issued,
    pub next_client: Issued,
    pub unknown_client: Issued,
    signer: EcdsaKeyPair,
    forger: EcdsaKeyPair,
    _folder: tempfile::TempDir,
}

/// What a token says.
pub struct Claims {
    /// For how long it still holds; less than 0: it held. Seconds.
    pub lasts: i64,
    /// Whether somebody else signed it.
    pub is_forged: bool,
}

impl Default for Claims {
    fn default() -> Self {
        Self { lasts: 600, is_forged: false }
    }
}

/// The one broker that these tests share; none where there is no Kafka. It ends with the process.
pub fn house() -> Option<&'static House> {
    static HOUSE: OnceLock<Option<House>> = OnceLock::new();
    HOUSE.get_or_init(open).as_ref()
}

fn open() -> Option<House> {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let (authority_file, stranger) = (folder.path().join("ca.pem"), folder.path().join("stranger.pem"));
    authority.write(&authority_file);
    let strange = Authority::new();
    strange.write(&stranger);
    let server = authority.issue(folder.path(), "server", HERE);
    let past = authority.issue_until(folder.path(), "past", HERE, 2020);
    let other = authority.issue(folder.path(), "other", "elsewhere.example");
    let [signer, forger] = [key(), key()];
    let keys = folder.path().join("keys.json");
    std::fs::write(&keys, public(&signer)).unwrap();
    let shows = |issued: &Issued, more: &str| {
        let (own, trusted) = (issued.together(), authority_file.display());
        format!(
            "ssl.keystore.type=PEM\nssl.keystore.location={}\nssl.truststore.type=PEM\n\
             ssl.truststore.location={trusted}\n{more}",
            own.display()
        )
    };
    let scram = "sasl.enabled.mechanisms=SCRAM-SHA-512\n\
                 scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;\n";
    let oauth = format!(
        "sasl.enabled.mechanisms=OAUTHBEARER\n\
         oauthbearer.sasl.jaas.config=org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required;\n\
         oauthbearer.sasl.server.callback.handler.class=org.apache.kafka.common.security.oauthbearer.OAuthBearerValidatorCallbackHandler\n\
         oauthbearer.sasl.oauthbearer.jwks.endpoint.url=file://{0}\n\
         oauthbearer.sasl.oauthbearer.expected.audience=kafka\n\
         oauthbearer.connections.max.reauth.ms=3600000\n",
        keys.display()
    );
    let beyond = Beyond {
        listeners: vec![
            ("TLS", "SSL", shows(&server, "")),
            ("MTLS", "SSL", shows(&server, "ssl.client.auth=required\n")),
            ("SCRAM", "SASL_SSL", shows(&server, scram)),
            ("OAUTH", "SASL_SSL", shows(&server, &oauth)),
            ("PAST", "SSL", shows(&past, "")),
            ("OTHER", "SSL", shows(&other, "")),
        ],
        settings: String::new(),
        format: vec!["--add-scram".to_owned(), format!("SCRAM-SHA-512=[name={USER},password={PASSWORD}]")],
        java: vec![format!("-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls=file://{}", keys.display())],
        is_fronted: false,
    };
    let cluster = Cluster::start_with(1, &beyond)?;
    let of_client = |authority: &Authority, name| authority.issue(folder.path(), name, "tiltmeter.example");
    Some(House {
        client: of_client(&authority, "client"),
        next_client: of_client(&authority, "next"),
        unknown_client: of_client(&strange, "unknown"),
        cluster,
        authority_file,
        stranger,
        signer,
        forger,
        _folder: folder,
    })
}

impl House {
    /// A token (RFC 7519) for the broker.
    pub fn token(&self, claims: &Claims) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
        let head = json!({ "alg": "ES256", "kid": "first" });
        let body = json!({
            "sub": USER, "aud": "kafka", "iss": "tests", "iat": now - 7200, "exp": now + claims.lasts
        });
        let text = format!("{}.{}", BASE64.encode(head.to_string()), BASE64.encode(body.to_string()));
        let key = if claims.is_forged { &self.forger } else { &self.signer };
        let signature = key.sign(&SystemRandom::new(), text.as_bytes()).unwrap();
        format!("{text}.{}", BASE64.encode(signature))
    }
}

fn key() -> EcdsaKeyPair {
    let (algorithm, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
    let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
    EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).unwrap()
}

/// The keys that tokens are signed with (RFC 7517).
fn public(key: &EcdsaKeyPair) -> String {
    // An uncompressed point: one byte, then both coordinates.
    let (x, y) = key.public_key().as_ref()[1..].split_at(32);
    let (x, y) = (BASE64.encode(x), BASE64.encode(y));
    json!({ "keys": [{ "kty": "EC", "crv": "P-256", "kid": "first", "alg": "ES256", "use": "sig", "x": x, "y": y }] })
        .to_string()
}
