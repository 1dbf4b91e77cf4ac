//! Encrypted connections to a server: TLS, by whose certificate the server must be known.

use super::engine::Fault;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use std::sync::Arc;
use tokio_postgres_rustls::MakeRustlsConnect;

/// Words of libpq that mean the same here: who is not known is never talked to.
const ALWAYS: [&str; 2] = ["sslmode=verify-full", "sslmode=verify-ca"];
/// A file of certificates, in the URL and in the environment, as libpq has both.
const IN_URL: &str = "sslrootcert=";
const IN_ENVIRONMENT: &str = "PGSSLROOTCERT";

/// The URL as the client reads it, and the file of certificates that it names, else the environment.
pub(super) fn asked(url: &str) -> (String, Option<String>) {
    let named = std::env::var(IN_ENVIRONMENT).ok().filter(|file| !file.is_empty());
    let Some((before, query)) = url.split_once('?') else { return (url.to_owned(), named) };
    let (mut kept, mut file) = (Vec::new(), named);
    for word in query.split('&') {
        match word.strip_prefix(IN_URL) {
            Some(own) => file = Some(own.to_owned()),
            None if ALWAYS.contains(&word) => kept.push("sslmode=require"),
            None => kept.push(word),
        }
    }
    (if kept.is_empty() { before.to_owned() } else { format!("{before}?{}", kept.join("&")) }, file)
}

/// What encrypts, with servers that one of the file's certificates speaks for; without a file, one of the system's.
pub(super) fn connector(file: Option<&str>) -> Result<MakeRustlsConnect, Fault> {
    let mut roots = RootCertStore::empty();
    match file {
        Some(file) => {
            let faulty =
                |error: &dyn std::fmt::Display| Fault::Final(format!("the certificates of {file} cannot be used: {error}"));
            for certificate in CertificateDer::pem_file_iter(file).map_err(|error| faulty(&error))? {
                roots.add(certificate.map_err(|error| faulty(&error))?).map_err(|error| faulty(&error))?;
            }
            if roots.is_empty() {
                return Err(faulty(&"there are none in it"));
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                let what = "this system has no certificates by which a server is known: sslrootcert=FILE in the URL names some";
                return Err(Fault::Final(what.to_owned()));
            }
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let versions = versions.map_err(|error| Fault::Final(error.to_string()))?;
    Ok(MakeRustlsConnect::new(versions.with_root_certificates(roots).with_no_client_auth()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_libpq_are_understood() {
        let url = |query: &str| format!("postgres://samara@db.example/studies{query}");
        assert_eq!(
            asked(&url("?sslmode=verify-full&sslrootcert=/etc/own.crt")),
            (url("?sslmode=require"), Some("/etc/own.crt".into()))
        );
        assert_eq!(asked(&url("?sslrootcert=own.crt")), (url(""), Some("own.crt".into())));
        let (kept, _) = asked(&url("?application_name=a&sslmode=disable"));
        assert_eq!((kept, asked(&url("")).0), (url("?application_name=a&sslmode=disable"), url("")));
    }

    #[test]
    fn files_without_certificates_are_refused() {
        let place = tempfile::tempdir().unwrap();
        let refusal = |file: &std::path::Path| connector(file.to_str()).err().unwrap().to_string();
        assert!(refusal(&place.path().join("none.crt")).contains("none.crt cannot be used"));
        std::fs::write(place.path().join("text.crt"), "no certificate").unwrap();
        assert!(refusal(&place.path().join("text.crt")).ends_with("there are none in it"));
    }
}
