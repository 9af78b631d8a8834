//! A certificate authority for tests: its certificates hold, or are past, or are for somebody else.
//!
//! Knows how a certificate is made. Must not know who uses it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType};

/// An authority of its own.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

/// A certificate and its key, in files (PEM).
#[derive(Clone, Debug)]
pub struct Issued {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Authority {
    /// A new one: no other trusts it.
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        static AUTHORITIES: AtomicU32 = AtomicU32::new(0);
        let name = format!("authority {}", AUTHORITIES.fetch_add(1, Ordering::Relaxed));
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    /// Its own certificate (PEM).
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// Writes its own certificate to a file.
    pub fn write(&self, file: &Path) {
        std::fs::write(file, &self.certificate).unwrap();
    }

    /// A certificate that holds, for a name, an address, or a URI; `folder` gets `name.crt` and `name.key`.
    pub fn issue(&self, folder: &Path, name: &str, holder: &str) -> Issued {
        self.issue_until(folder, name, holder, 2100)
    }

    /// The same until the beginning of a year.
    pub fn issue_until(&self, folder: &Path, name: &str, holder: &str, year: i32) -> Issued {
        let mut params = if holder.contains("://") {
            let mut params = CertificateParams::default();
            params.subject_alt_names.push(SanType::URI(holder.try_into().unwrap()));
            params
        } else {
            CertificateParams::new([holder.to_owned()]).unwrap()
        };
        params.not_before = rcgen::date_time_ymd(2000, 1, 1);
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let issued = Issued {
            certificate: folder.join(format!("{name}.crt")),
            key: folder.join(format!("{name}.key")),
        };
        std::fs::write(&issued.certificate, certificate.pem()).unwrap();
        std::fs::write(&issued.key, key.serialize_pem()).unwrap();
        issued
    }
}

#[cfg(feature = "tls")]
impl Issued {
    /// Key and certificate in one file, as a broker wants them.
    pub fn together(&self) -> PathBuf {
        let [key, certificate] =
            [&self.key, &self.certificate].map(|file| std::fs::read_to_string(file).unwrap());
        let both = self.certificate.with_extension("pem");
        std::fs::write(&both, key + &certificate).unwrap();
        both
    }
}
