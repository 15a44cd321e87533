//! Certificate authorities of tests, and what they sign.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType, date_time_ymd,
};

/// A CA, with its certificate in a file.
pub struct Authority {
    dir: PathBuf,
    issuer: Issuer<'static, KeyPair>,
    pub pem: String,
}

/// A certificate and its key, in files.
#[derive(Debug, Clone)]
pub struct Shown {
    pub cert: String,
    pub key: String,
}

impl Authority {
    /// Keeps everything in `dir`, which it makes.
    pub fn new(dir: &Path) -> Self {
        fs::create_dir_all(dir).expect("a directory");
        let mut params = CertificateParams::default();
        let name = dir.display().to_string();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        let pem = dir.join("ca.pem");
        fs::write(&pem, certificate.pem()).expect("written");
        Self {
            dir: dir.to_owned(),
            issuer: Issuer::new(params, key),
            pem: pem.display().to_string(),
        }
    }

    /// A good certificate with this name, and 127.0.0.1.
    pub fn sign(&self, name: &str) -> Shown {
        self.write(name, name, 2100)
    }

    /// The same, but that it has expired.
    pub fn sign_expired(&self, name: &str) -> Shown {
        self.write(&format!("expired-{name}"), name, 2001)
    }

    fn write(&self, file: &str, name: &str, ends: i32) -> Shown {
        let mut params = CertificateParams::default();
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(ends, 1, 1);
        params.distinguished_name.push(DnType::CommonName, name);
        params.subject_alt_names = vec![
            match name.contains("://") {
                true => SanType::URI(name.try_into().expect("a URI")),
                false => SanType::DnsName(name.try_into().expect("a name")),
            },
            SanType::IpAddress([127, 0, 0, 1].into()),
        ];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let file = file.replace(['/', ':'], "-");
        let at = |end: &str| self.dir.join(format!("{file}.{end}"));
        fs::write(at("pem"), certificate.pem()).expect("written");
        fs::write(at("key"), key.serialize_pem()).expect("written");
        Shown {
            cert: at("pem").display().to_string(),
            key: at("key").display().to_string(),
        }
    }
}

impl Shown {
    /// As settings of a node.
    pub fn settings(&self) -> [&str; 4] {
        ["--tls-cert", &self.cert, "--tls-key", &self.key]
    }

    /// As flags of a tool, which trusts `authority`.
    pub fn flags<'a>(&'a self, authority: &'a Authority) -> [&'a str; 7] {
        let [cert, key] = [self.cert.as_str(), self.key.as_str()];
        ["--tls", "--cacert", &authority.pem, "--cert", cert, "--key", key]
    }
}
