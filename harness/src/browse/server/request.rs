//! Which requests are answered.

use std::net::IpAddr;

use hyper::header::HOST;
use hyper::{Method, Request, StatusCode};
use percent_encoding::percent_decode_str;

use crate::browse::address::{AddressError, FILES, Page};

/// What a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    Page(Page),
    /// A file, by its path below the folder.
    File(String),
}

/// Why a request is not answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) why: String,
}

/// The names of this server.
#[derive(Debug)]
pub(super) struct Hosts(Vec<String>);

impl Hosts {
    pub(super) fn new(names: &[String]) -> Self {
        let names = names.iter().map(|name| name.to_ascii_lowercase());
        Self(names.chain(["localhost".to_owned()]).collect())
    }

    /// What `request` asks for.
    pub(super) fn wanted<T>(&self, request: &Request<T>) -> Result<Wanted, Refusal> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return refused(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are answered");
        }
        let mut hosts = request.headers().get_all(HOST).iter();
        let (host, more) = (hosts.next(), hosts.next());
        let is_ours = host
            .and_then(|host| host.to_str().ok())
            .is_some_and(|host| self.has(host));
        if !is_ours || more.is_some() {
            let why = "this server does not go by the name in the request: `--host NAME` gives it one";
            return refused(StatusCode::MISDIRECTED_REQUEST, why);
        }
        let uri = request.uri();
        if uri.authority().is_some() || !uri.path().starts_with('/') {
            return refused(StatusCode::BAD_REQUEST, "this server is no proxy");
        }
        if let Some(file) = uri
            .path()
            .strip_prefix('/')
            .and_then(|path| path.strip_prefix(FILES))
        {
            return match percent_decode_str(file).decode_utf8() {
                Ok(name) => Ok(Wanted::File(name.into_owned())),
                Err(_) => refused(StatusCode::NOT_FOUND, "there is no such file"),
            };
        }
        match Page::parse(uri.path(), uri.query().unwrap_or_default()) {
            Ok(page) => Ok(Wanted::Page(page)),
            Err(error @ AddressError::NoPage) => refused(StatusCode::NOT_FOUND, &error.to_string()),
            Err(error @ AddressError::Query(_)) => refused(StatusCode::BAD_REQUEST, &error.to_string()),
        }
    }

    /// An address cannot be pointed elsewhere, a name can.
    fn has(&self, host: &str) -> bool {
        let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((address, rest)) if is_port(rest) => {
                return address.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv6());
            }
            Some(_) => return false,
            None => host,
        };
        let name = match name.split_once(':') {
            Some((name, port)) if is_port(&format!(":{port}")) => name,
            Some(_) => return false,
            None => name,
        };
        name.parse::<IpAddr>().is_ok() || self.0.iter().any(|own| own.eq_ignore_ascii_case(name))
    }
}

/// Nothing, or a colon and a port.
fn is_port(text: &str) -> bool {
    text.is_empty()
        || text
            .strip_prefix(':')
            .is_some_and(|port| port.parse::<u16>().is_ok())
}

fn refused<T>(status: StatusCode, why: &str) -> Result<T, Refusal> {
    Err(Refusal {
        status,
        why: why.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(method: &str, uri: &str, hosts: &[&str]) -> Result<Wanted, u16> {
        let mut request = Request::builder().method(method).uri(uri);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        let request = request.body(()).unwrap();
        let ours = Hosts::new(&["Results.example".to_owned()]);
        ours.wanted(&request).map_err(|refusal| refusal.status.as_u16())
    }

    #[test]
    fn a_host_that_is_not_this_server_is_refused() {
        let asked = |host: &str| wanted("GET", "/", &[host]);
        let ours = [
            "localhost",
            "LOCALHOST:7900",
            "127.0.0.1:7900",
            "[::1]:7900",
            "[::1]",
            "10.0.0.7",
            "results.example:80",
        ];
        for host in ours {
            assert_eq!(asked(host), Ok(Wanted::Page(Page::Overview)), "{host}");
        }
        let others = [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "",
            "localhost:",
            "localhost:x",
            "[::1]x",
            "[evil]",
            "127.0.0.1:80:80",
            "user@localhost",
        ];
        for host in others {
            assert_eq!(asked(host), Err(421), "{host}");
        }
        assert_eq!(wanted("GET", "/", &[]), Err(421));
        assert_eq!(wanted("GET", "/", &["localhost", "localhost"]), Err(421));
    }

    #[test]
    fn only_reading_is_answered() {
        for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"] {
            assert_eq!(wanted(method, "/", &["localhost"]), Err(405), "{method}");
        }
        assert!(wanted("HEAD", "/", &["localhost"]).is_ok());
        assert_eq!(wanted("GET", "http://localhost/", &["localhost"]), Err(400));
        assert_eq!(wanted("GET", "/runs?verdict=x", &["localhost"]), Err(400));
        assert_eq!(wanted("GET", "/etc/passwd", &["localhost"]), Err(404));
    }

    #[test]
    fn the_path_of_a_file_is_decoded_once() {
        let file = |uri: &str| wanted("GET", uri, &["localhost"]);
        assert_eq!(file("/files/a/b%20c"), Ok(Wanted::File("a/b c".to_owned())));
        assert_eq!(
            file("/files/%252e%252e/x"),
            Ok(Wanted::File("%2e%2e/x".to_owned()))
        );
        assert_eq!(file("/files/%2e%2e/x"), Ok(Wanted::File("../x".to_owned())));
        assert_eq!(file("/files/%ff"), Err(404));
    }
}
