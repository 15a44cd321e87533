//! The real program on a real socket: pages, files, and what it refuses.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::nights;
use crate::site::HARNESS;

/// `harness serve`, on a port of its own.
struct Served {
    child: Child,
    address: SocketAddr,
}

/// Status, head and body.
struct Response {
    status: u16,
    head: String,
    body: String,
}

impl Served {
    fn new(folder: &Path, more: &[&str]) -> Self {
        let mut child = Command::new(HARNESS)
            .arg("serve")
            .arg(folder)
            .args(["--listen", "127.0.0.1:0"])
            .args(more)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let address = line
            .trim()
            .strip_prefix("http://")
            .and_then(|rest| rest.strip_suffix('/'));
        let address = address
            .unwrap_or_else(|| panic!("no address: {line}"))
            .parse()
            .unwrap();
        Self { child, address }
    }

    /// Sends these bytes and reads all that comes back.
    fn send(&self, request: &str) -> Response {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text
            .split_once("\r\n\r\n")
            .unwrap_or_else(|| panic!("{request}: {text}"));
        Response {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            head: head.to_ascii_lowercase(),
            body: body.to_owned(),
        }
    }

    fn get(&self, target: &str) -> Response {
        self.send(&format!(
            "GET {target} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
            self.address
        ))
    }

    fn end(mut self, signal: Signal) -> Option<i32> {
        kill(Pid::from_raw(self.child.id() as i32), signal).unwrap();
        self.child.wait().unwrap().code()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where the links of a page lead, as a browser would ask for it.
fn links(page: &str) -> BTreeSet<String> {
    let body = page.split("<script>").next().unwrap();
    let hrefs = body
        .split("href=\"")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap());
    let here = hrefs.filter(|href| !href.starts_with('#'));
    here.map(|href| format!("/{}", href.trim_start_matches("./").replace("&amp;", "&")))
        .collect()
}

#[test]
fn every_link_leads_to_a_page_or_a_file_and_the_server_ends_in_order() {
    let root = nights();
    let served = Served::new(root.path(), &[]);
    let (mut seen, mut open) = (BTreeSet::new(), vec!["/".to_owned()]);
    while let Some(target) = open.pop() {
        if !seen.insert(target.clone()) {
            continue;
        }
        assert!(seen.len() < 500, "{seen:?}");
        let response = served.get(&target);
        assert_eq!(response.status, 200, "{target}: {}", response.body);
        if !target.starts_with("/files/") {
            assert!(response.head.contains("content-type: text/html"), "{target}");
            open.extend(links(&response.body));
        }
    }
    for target in [
        "/runs?verdict=invalid",
        "/run?path=runs%2Fsmoke%2F20261129T220000Z-8",
        "/compare?a=runs%2Fsmoke%2F20261127T220000Z-7&b=runs%2Fsmoke%2F20261129T220000Z-8",
        "/campaign?path=campaigns%2Fnightly%2F20261129T010000Z",
        "/files/runs/smoke/20261129T220000Z-8/report.html",
        "/files/runs/smoke/20261129T220000Z-8/nodes/n1/log",
        "/trends",
        "/troubles",
    ] {
        assert!(seen.contains(target), "{target} is linked nowhere: {seen:#?}");
    }
    assert_eq!(served.end(Signal::SIGTERM), Some(0));
    assert_eq!(Served::new(root.path(), &[]).end(Signal::SIGINT), Some(0));
}

#[test]
fn files_come_with_a_type_that_a_browser_cannot_take_for_another() {
    let root = nights();
    let run = root.path().join("runs/bank/20261129T220100Z-7");
    fs::write(run.join("evil.html"), "<script>alert(1)</script>").unwrap();
    fs::write(
        run.join("violation-1-log.svg"),
        "<svg xmlns=\"http://www.w3.org/2000/svg\"/>",
    )
    .unwrap();
    let large = "0123456789abcdef\n".repeat(50_000);
    fs::write(run.join("schedule.jsonl"), &large).unwrap();
    let served = Served::new(root.path(), &[]);
    let file = |name: &str| served.get(&format!("/files/runs/bank/20261129T220100Z-7/{name}"));
    let has = |name: &str, header: &str| {
        let head = file(name).head;
        assert!(head.contains(header), "{name}: {header}: {head}");
        assert!(
            head.contains("x-content-type-options: nosniff") && head.contains("sandbox"),
            "{name}: {head}"
        );
    };
    has("report.html", "content-type: text/html; charset=utf-8");
    has("evil.html", "content-type: application/octet-stream");
    has("evil.html", "content-disposition: attachment");
    has("violation-1-log.svg", "content-type: image/svg+xml");
    has("nodes/n1/log", "content-type: text/plain; charset=utf-8");
    has("run.json", "content-type: text/plain; charset=utf-8");
    assert_eq!(file("schedule.jsonl").body, large, "a file of many pieces");
    let page = served.get("/");
    assert!(
        page.head.contains("content-security-policy: default-src 'none'")
            && page.head.contains("script-src 'sha256-")
    );
}

#[test]
fn nothing_outside_the_folder_is_sent() {
    let root = tempfile::tempdir().unwrap();
    let inside = root.path().join("inside");
    super::write_nights(&inside);
    let run = "runs/smoke/20261129T220000Z-8";
    fs::write(root.path().join("secret.txt"), "the secret").unwrap();
    fs::write(inside.join(".env"), "the secret").unwrap();
    symlink(root.path().join("secret.txt"), inside.join(run).join("out.txt")).unwrap();
    symlink("../../../../secret.txt", inside.join(run).join("relative.txt")).unwrap();
    symlink("nodes/n1/log", inside.join(run).join("within.txt")).unwrap();
    nix::unistd::mkfifo(&inside.join(run).join("pipe.txt"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let served = Served::new(&inside, &[]);
    let targets = [
        "/files/../secret.txt",
        "/files/..%2fsecret.txt",
        "/files/%2e%2e/secret.txt",
        "/files/runs/smoke/20261129T220000Z-8/../../../../secret.txt",
        "/files/runs/smoke/20261129T220000Z-8/%2e%2e/%2e%2e/%2e%2e/.env",
        "/files//etc/passwd",
        "/files/%2Fetc%2Fpasswd",
        "/files/.env",
        "/files/runs/smoke/20261129T220000Z-8/out.txt",
        "/files/runs/smoke/20261129T220000Z-8/relative.txt",
        "/files/runs/smoke/20261129T220000Z-8/pipe.txt",
        "/files/runs/smoke/20261129T220000Z-8/nodes",
        "/files/runs/smoke/20261129T220000Z-8/run.json%00.html",
        "/files/",
        "/run?path=../..",
        "/secret.txt",
    ];
    for target in targets {
        let response = served.get(target);
        assert_eq!(response.status, 404, "{target}: {}", response.body);
        assert!(
            !response.body.contains("the secret") && !response.body.contains("root:x:"),
            "{target}"
        );
    }
    assert_eq!(
        served.get(&format!("/files/{run}/within.txt")).body,
        "listening\n"
    );
}

#[test]
fn no_request_of_another_site_and_nothing_but_reading_is_answered() {
    let root = nights();
    let served = Served::new(root.path(), &["--host", "results.example"]);
    let asked = |request: &str| served.send(&request.replace('\n', "\r\n")).status;
    assert_eq!(
        asked("GET / HTTP/1.1\nHost: evil.example\nConnection: close\n\n"),
        421
    );
    assert_eq!(
        asked("GET / HTTP/1.1\nHost: results.example\nConnection: close\n\n"),
        200
    );
    assert_eq!(asked("GET / HTTP/1.1\nConnection: close\n\n"), 421);
    assert_eq!(
        asked("GET http://evil.example/ HTTP/1.1\nHost: localhost\nConnection: close\n\n"),
        400
    );
    assert_eq!(
        asked("POST / HTTP/1.1\nHost: localhost\nContent-Length: 0\nConnection: close\n\n"),
        405
    );
    assert_eq!(
        asked("GET /runs?verdict=good HTTP/1.1\nHost: localhost\nConnection: close\n\n"),
        400
    );
    assert_eq!(asked("nonsense\n\n"), 400);
    let head = served.send("HEAD / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert!(head.status == 200 && head.body.is_empty() && !head.head.contains("content-length: 0"));
    let long = format!(
        "GET /{} HTTP/1.1\nHost: localhost\nConnection: close\n\n",
        "x".repeat(100_000)
    );
    assert!([414, 431].contains(&asked(&long)), "{}", asked(&long));
    assert_eq!(served.get("/").status, 200, "it answers after all that");
}

#[test]
fn wrong_usage_and_an_address_in_use_have_their_exit_codes() {
    let root = nights();
    let code = |folder: &Path, listen: &str| {
        let output = Command::new(HARNESS)
            .arg("serve")
            .arg(folder)
            .args(["--listen", listen])
            .output()
            .unwrap();
        output.status.code()
    };
    assert_eq!(code(&root.path().join("none"), "127.0.0.1:0"), Some(64));
    assert_eq!(code(root.path(), "nowhere"), Some(64));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    assert_eq!(
        code(root.path(), &taken.local_addr().unwrap().to_string()),
        Some(254)
    );
}
