//! What a request is answered with.

use std::cell::RefCell;
use std::fs::File;
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
    HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use hyper::{Response, StatusCode};
use sha2::{Digest, Sha256};

use super::body::Body;
use super::locked;
use super::request::{Refusal, Wanted};
use crate::browse::address::{Links, Page};
use crate::browse::beneath::Beneath;
use crate::browse::catalogue::{Catalogue, Reader};
use crate::browse::pages::{View, scripts};

/// Makes answers from a folder of results.
#[derive(Debug)]
pub(super) struct Answers {
    reader: Mutex<Reader>,
    files: Arc<Beneath>,
    /// What a browser may run on our pages: our scripts, and nothing that came from a file.
    policy: String,
}

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    status: StatusCode,
    kind: &'static str,
    policy: String,
    content: Content,
    is_attached: bool,
}

#[derive(Debug)]
enum Content {
    Text(String),
    File(File, u64),
}

impl Answers {
    pub(super) fn new(reader: Reader) -> Self {
        let hash = STANDARD.encode(Sha256::digest(scripts().as_bytes()));
        Self {
            files: Arc::clone(reader.files()),
            reader: Mutex::new(reader),
            policy: format!(
                "default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{hash}'; form-action 'self'; base-uri 'none'; \
                 frame-ancestors 'none'"
            ),
        }
    }

    pub(super) fn catalogue(&self) -> Catalogue {
        locked(&self.reader).read()
    }

    pub(super) fn answer(&self, wanted: &Wanted) -> Answer {
        match wanted {
            Wanted::Page(page) => self.page(page),
            Wanted::File(name) => self.file(name),
        }
    }

    fn page(&self, page: &Page) -> Answer {
        let mut reader = locked(&self.reader);
        let catalogue = reader.read();
        let reader = RefCell::new(&mut *reader);
        let view = View {
            catalogue: &catalogue,
            links: &Links::Served,
            figures: &|run| reader.borrow_mut().figures(run),
        };
        let (status, text) = match view.page(page) {
            Some(text) => (StatusCode::OK, text),
            None => {
                let why = "There is nothing readable in a folder of this name: it may have been removed";
                (StatusCode::NOT_FOUND, view.refusal("Not found", why))
            }
        };
        Answer {
            status,
            kind: HTML,
            policy: self.policy.clone(),
            content: Content::Text(text),
            is_attached: false,
        }
    }

    fn file(&self, name: &str) -> Answer {
        let is_listed = self.catalogue().lists(name);
        let opened = if is_listed {
            self.files.open(name).ok()
        } else {
            None
        };
        let about = opened.as_ref().and_then(|file| file.metadata().ok());
        match (opened, about) {
            (Some(file), Some(about)) => {
                let (kind, is_shown) = kind_of(name);
                Answer {
                    status: StatusCode::OK,
                    kind,
                    policy: policy_of(name).to_owned(),
                    content: Content::File(file, about.len()),
                    is_attached: !is_shown,
                }
            }
            (None, _) | (_, None) => Answer::refused(Refusal {
                status: StatusCode::NOT_FOUND,
                why: "there is no such file in the folder of a run".to_owned(),
            }),
        }
    }
}

impl Answer {
    pub(super) fn refused(refusal: Refusal) -> Self {
        Self {
            status: refusal.status,
            kind: TEXT,
            policy: NOTHING.to_owned(),
            content: Content::Text(format!("{}\n", refusal.why)),
            is_attached: false,
        }
    }

    pub(super) fn failed(why: &str) -> Self {
        Self::refused(Refusal {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            why: format!("the page could not be made: {why}"),
        })
    }

    pub(super) fn into_response(self, is_head: bool) -> Response<Body> {
        let length = match &self.content {
            Content::Text(text) => text.len() as u64,
            Content::File(_, length) => *length,
        };
        let body = match self.content {
            _ if is_head => Body::empty(),
            Content::Text(text) => Body::text(text),
            Content::File(file, length) => Body::file(file, length),
        };
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        let fixed = HeaderValue::from_static;
        headers.insert(CONTENT_TYPE, fixed(self.kind));
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        headers.insert(X_CONTENT_TYPE_OPTIONS, fixed("nosniff"));
        headers.insert(X_FRAME_OPTIONS, fixed("DENY"));
        headers.insert(REFERRER_POLICY, fixed("no-referrer"));
        headers.insert("cross-origin-resource-policy", fixed("same-origin"));
        // What is shown changes while campaigns run.
        headers.insert(CACHE_CONTROL, fixed("no-store"));
        let policy = HeaderValue::from_str(&self.policy).unwrap_or_else(|_| fixed(NOTHING));
        headers.insert(CONTENT_SECURITY_POLICY, policy);
        if self.is_attached {
            headers.insert(CONTENT_DISPOSITION, fixed("attachment"));
        }
        if self.status == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(ALLOW, fixed("GET, HEAD"));
        }
        response
    }
}

const HTML: &str = "text/html; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";
const DRAWING: &str = "image/svg+xml";
const ANY: &str = "application/octet-stream";

/// No script, no other file, no rights of this server's pages.
const NOTHING: &str = "sandbox; default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";
/// The report of a run draws with its own scripts; it gets no rights of this server's pages.
const REPORT: &str = "sandbox allow-scripts; default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
                      img-src data:; frame-ancestors 'none'";

/// The type of a file, by its name, and whether a browser shows it. What is not known is only kept.
fn kind_of(name: &str) -> (&'static str, bool) {
    let name = name.rsplit('/').next().unwrap_or_default();
    match name.rsplit_once('.').map(|(_, ending)| ending) {
        Some("html") if name == "report.html" => (HTML, true),
        Some("svg") => (DRAWING, true),
        Some("json" | "jsonl" | "txt" | "toml" | "edn" | "xml" | "sh" | "md" | "log") => (TEXT, true),
        None if name == "log" => (TEXT, true),
        Some(_) | None => (ANY, false),
    }
}

fn policy_of(name: &str) -> &'static str {
    match kind_of(name) {
        (HTML, _) => REPORT,
        _ => NOTHING,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_report_of_a_run_is_a_page() {
        let kinds = [
            ("a/report.html", HTML, true),
            ("a/other.html", ANY, false),
            ("a/report.html.exe", ANY, false),
            ("a/violation-1-register.svg", DRAWING, true),
            ("a/nodes/n1/log", TEXT, true),
            ("a/history.jsonl", TEXT, true),
            ("a/junit.xml", TEXT, true),
            ("a/report.xhtml", ANY, false),
            ("a/disk.img", ANY, false),
            ("a/data", ANY, false),
        ];
        for (name, kind, is_shown) in kinds {
            assert_eq!(kind_of(name), (kind, is_shown), "{name}");
        }
        assert!(policy_of("a/violation-1-log.svg").starts_with("sandbox;"));
        assert!(!policy_of("a/report.html").contains("allow-same-origin"));
    }
}
