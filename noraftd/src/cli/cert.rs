//! `noraftd cert`: a CA and certificates, for a trial.
//!
//! Invariant: a key is readable by its user only, and no file is ever replaced.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};

use super::{complain, say};
use crate::exit::Exit;
use crate::shell::clock;

/// Makes a CA and certificates, to try TLS.
///
/// For a cluster that matters, use the CA that you have: the key of this one is a file without a password.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Cert {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Makes a CA: ca.pem and ca.key in DIR.
    Ca {
        /// The directory; made when it is missing.
        dir: PathBuf,
        /// How long it is valid, in days.
        #[arg(long, value_name = "N", default_value_t = 3650, value_parser = clap::value_parser!(u32).range(1..=DAYS_MAX))]
        days: u32,
    },
    /// Makes a certificate that the CA in DIR signs: NAME.pem and NAME.key there. It is good for a node and for a client.
    Leaf {
        /// The directory with ca.pem and ca.key.
        dir: PathBuf,
        /// What to call the files, and the first name in the certificate.
        name: String,
        /// Another name in the certificate: a DNS name, an IP address or a URI. Repeatable.
        #[arg(long, value_name = "NAME")]
        also: Vec<String>,
        /// How long it is valid, in days.
        #[arg(long, value_name = "N", default_value_t = 90, value_parser = clap::value_parser!(u32).range(1..=DAYS_MAX))]
        days: u32,
    },
}

#[derive(Debug, thiserror::Error)]
enum CertError {
    #[error("{path}: {source}", path = path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("'{0}' cannot be the name of files: letters, digits, '.', '-' and '_' can")]
    Name(String),
    #[error("{path}: {source}", path = path.display())]
    Authority { path: PathBuf, source: rcgen::Error },
    #[error("no certificate: {0}")]
    Certificate(#[from] rcgen::Error),
}

impl Cert {
    /// Makes the files, or says why not.
    pub(super) fn run(self) -> Exit {
        let made = match &self.verb {
            Verb::Ca { dir, days } => make_authority(dir, *days),
            Verb::Leaf {
                dir,
                name,
                also,
                days,
            } => make_leaf(dir, name, also, *days),
        };
        match made {
            Ok(()) => Exit::Done,
            Err(error) => {
                complain(&error);
                match error {
                    CertError::File { .. } => Exit::CannotCreate,
                    CertError::Name(_) | CertError::Certificate(_) => Exit::Usage,
                    CertError::Authority { .. } => Exit::Data,
                }
            }
        }
    }
}

fn make_authority(dir: &Path, days: u32) -> Result<(), CertError> {
    std::fs::create_dir_all(dir).map_err(file_error(dir))?;
    let mut params = valid_for(days);
    params
        .distinguished_name
        .push(DnType::CommonName, "noraftd trial CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    write_pair(&dir.join("ca"), &certificate.pem(), &key)
}

fn make_leaf(dir: &Path, name: &str, also: &[String], days: u32) -> Result<(), CertError> {
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    if name.is_empty() || name.starts_with('.') || !name.bytes().all(is_good) {
        return Err(CertError::Name(name.to_owned()));
    }
    let (at, key_at) = (dir.join("ca.pem"), dir.join("ca.key"));
    let read = |path: &Path| std::fs::read_to_string(path).map_err(file_error(path));
    let authority_error = |path: &Path| {
        let path = path.to_owned();
        |source| CertError::Authority { path, source }
    };
    let key = KeyPair::from_pem(&read(&key_at)?).map_err(authority_error(&key_at))?;
    let issuer = Issuer::from_ca_cert_pem(&read(&at)?, key).map_err(authority_error(&at))?;
    let mut params = valid_for(days);
    params.distinguished_name.push(DnType::CommonName, name);
    let names = std::iter::once(name).chain(also.iter().map(String::as_str));
    params.subject_alt_names = names.map(as_name).collect::<Result<_, _>>()?;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    params.use_authority_key_identifier_extension = true;
    let own = KeyPair::generate()?;
    let certificate = params.signed_by(&own, &issuer)?;
    write_pair(&dir.join(name), &certificate.pem(), &own)
}

fn as_name(name: &str) -> Result<SanType, rcgen::Error> {
    if let Ok(address) = name.parse::<IpAddr>() {
        return Ok(SanType::IpAddress(address));
    }
    Ok(match name.contains("://") {
        true => SanType::URI(name.try_into()?),
        false => SanType::DnsName(name.try_into()?),
    })
}

/// From an hour ago, for clocks that differ.
fn valid_for(days: u32) -> CertificateParams {
    let now = rcgen::date_time_ymd(1970, 1, 1) + Duration::from_micros(clock::unix_micros());
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.not_before = now - HOUR;
    params.not_after = now + 24 * HOUR * days;
    params
}

fn write_pair(stem: &Path, certificate: &str, key: &KeyPair) -> Result<(), CertError> {
    // The name has no end that could be taken for one: `node1.example` has both.
    let with = |end: &str| PathBuf::from(format!("{}.{end}", stem.display()));
    let (cert_at, key_at) = (with("pem"), with("key"));
    write_new(&key_at, 0o600, &key.serialize_pem())?;
    write_new(&cert_at, 0o644, certificate)?;
    say(format_args!("{} and {}", cert_at.display(), key_at.display()));
    Ok(())
}

fn write_new(path: &Path, mode: u32, text: &str) -> Result<(), CertError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(mode);
    let written = options
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(file_error(path))
}

fn file_error(path: &Path) -> impl FnOnce(io::Error) -> CertError {
    let path = path.to_owned();
    |source| CertError::File { path, source }
}

const HOUR: Duration = Duration::from_secs(3600);
/// A hundred years are enough, and fit into a certificate.
const DAYS_MAX: i64 = 36_500;

const EXAMPLES: &str = "\
Examples:
  noraftd cert ca tls                                 tls/ca.pem and tls/ca.key
  noraftd cert leaf tls node1 --also 127.0.0.1        tls/node1.pem and tls/node1.key
  noraftd cert leaf tls app --also spiffe://prod/app  for a client, known by a URI";
