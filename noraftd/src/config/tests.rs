//! What is valid, what is refused, and what wins.

use super::check::{ELECTION_DEFAULT, HEARTBEAT_DEFAULT, LISTEN_DEFAULT, PAGE_BYTES};
use super::*;

fn refusal(settings: Settings) -> String {
    settings.check().expect_err("refused").to_string()
}

#[test]
fn a_node_alone_needs_an_id_and_a_directory() {
    let config = Settings::minimal().check().expect("enough");
    assert_eq!(config.clients.listen, [Endpoint::Tcp(LISTEN_DEFAULT.into())]);
    assert_eq!(config.members().collect::<Vec<_>>(), [NodeId::new(1)]);
    assert_eq!(
        (config.time.heartbeat, config.time.election_timeout),
        (HEARTBEAT_DEFAULT, ELECTION_DEFAULT)
    );
    assert_eq!(
        refusal(Settings::default()),
        "id is missing: give --id or 'id' in the file"
    );
    let no_dir = Settings {
        id: Some(1),
        ..Settings::default()
    };
    assert_eq!(
        refusal(no_dir),
        "data_dir is missing: give --data-dir or 'data_dir' in the file"
    );
}

#[test]
fn http_is_served_over_tcp_or_not_at_all() {
    let at = |address: Option<&str>| Settings {
        http: address.map(str::to_owned),
        ..Settings::minimal()
    };
    assert_eq!(at(None).check().expect("good").clients.http, None);
    let config = at(Some("127.0.0.1:7801")).check().expect("good");
    assert_eq!(config.clients.http, Some(Endpoint::Tcp("127.0.0.1:7801".into())));
    assert_eq!(
        refusal(at(Some("/run/h.sock"))),
        "http: /run/h.sock is no TCP address (as in 127.0.0.1:7801)"
    );
    assert!(refusal(at(Some("7801"))).starts_with("http: '7801' is not an address"));
}

#[test]
fn the_members_may_include_this_node_or_not() {
    let all = ["1=h:1", "2=h:2", "3=unix:/3"].map(String::from);
    let with = Settings {
        peers: all.to_vec(),
        ..Settings::minimal()
    }
    .check()
    .expect("with itself");
    let others = Settings {
        peers: all[1..].to_vec(),
        peer_listen: vec!["h:1".into()],
        ..Settings::minimal()
    };
    let without = others.check().expect("without itself");
    assert_eq!(with, without);
    assert_eq!(with.peers.listen, [Endpoint::Tcp("h:1".into())]);
    let nowhere = Settings {
        peers: all[1..].to_vec(),
        ..Settings::minimal()
    };
    assert!(refusal(nowhere).starts_with("peer_listen is missing"));
}

#[test]
fn the_others_reach_a_node_where_it_says_or_where_it_begins_or_listens() {
    let advertised = |advertise: Option<&str>, peer: &[&str], listen: &[&str]| {
        let words = |words: &[&str]| words.iter().map(ToString::to_string).collect();
        let settings = Settings {
            peer_advertise: advertise.map(str::to_owned),
            peers: words(peer),
            peer_listen: words(listen),
            peer_via: vec!["h:2=h:9".to_owned()],
            ..Settings::minimal()
        };
        let peers = settings.check().expect("good").peers;
        let [said, dialled] = ["h:2", "h:9"].map(|address| Endpoint::Tcp(address.into()));
        assert_eq!(peers.via, [(said, dialled)].into());
        peers.advertise.map(|address| address.to_string())
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(advertised(Some("h:3"), &["1=h:1"], &["h:2"]), some("h:3"));
    assert_eq!(advertised(None, &["1=h:1"], &["h:2"]), some("h:1"));
    assert_eq!(advertised(None, &[], &["0.0.0.0:2", "h:2"]), some("h:2"));
    assert_eq!(advertised(None, &[], &["0.0.0.0:2"]), None);
}

#[test]
fn a_flag_wins_over_the_file() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("node.toml");
    std::fs::write(
        &path,
        "id = 2\ndata_dir = '/f'\nlisten = ['h:9']\nheartbeat = '20ms'",
    )
    .expect("written");
    let config = Settings::minimal()
        .or(Settings::from_file(&path).expect("good"))
        .check()
        .expect("good");
    assert_eq!((config.id.get(), config.data_dir), (1, "/d".into()));
    assert_eq!(
        (config.clients.listen, config.time.heartbeat),
        (vec![Endpoint::Tcp("h:9".into())], Duration::from_millis(20))
    );
}

#[test]
fn a_file_with_a_mistake_is_refused_and_the_place_is_shown() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("node.toml");
    for text in ["id = 'one'", "hartbeat = '1s'", "[", "id = -1"] {
        std::fs::write(&path, text).expect("written");
        let error = Settings::from_file(&path).expect_err(text).to_string();
        assert!(
            error.starts_with(&format!("the configuration file {} is wrong", path.display())),
            "{error}"
        );
        let (place, text_at) = (error.lines().nth(1), error.lines().nth(3));
        assert!(
            place.is_some_and(|line| line.contains("at line 1, column")),
            "{error}"
        );
        assert!(
            text_at.is_some_and(|line| line == format!("1 | {text}")),
            "{error}"
        );
    }
    let missing = Settings::from_file(&dir.path().join("none"))
        .expect_err("missing")
        .to_string();
    assert!(
        missing.starts_with("cannot read the configuration file"),
        "{missing}"
    );
}

#[test]
fn every_wrong_value_names_its_field() {
    let cases = [
        ("id", "id = 0"),
        ("cluster", "cluster = ''"),
        ("cluster", "cluster = \"a\\nb\""),
        ("listen", "listen = ['nowhere']"),
        ("peer_listen", "peer_listen = ['x']"),
        ("peers", "peers = ['2']"),
        ("peers", "peers = ['two=h:1']"),
        ("peers", "peers = ['0=h:1']"),
        ("peers", "peers = ['2=h']"),
        ("peers", "peers = ['2=h:1', '2=h:2']"),
        ("heartbeat", "heartbeat = '50'"),
        ("heartbeat", "heartbeat = '1ms'"),
        ("election_timeout", "election_timeout = '99ms'"),
        ("request_timeout", "request_timeout = '1h'"),
        ("segment_bytes", "segment_bytes = '1KiB'"),
        ("segment_bytes", "segment_bytes = '99999999999GiB'"),
        ("segment_bytes", "segment_bytes = '64 megabytes'"),
        ("log", "log = 'loud'"),
    ];
    for (field, text) in cases {
        let settings: Settings = toml::from_str(text).expect(text);
        let error = refusal(settings.or(Settings::minimal()));
        assert!(error.starts_with(&format!("{field}: ")), "{text}: {error}");
    }
}

#[test]
fn an_odd_segment_size_is_rounded_up() {
    let odd = Settings {
        segment_bytes: Some("300001".into()),
        ..Settings::minimal()
    }
    .check()
    .expect("rounded up");
    assert_eq!(odd.disk.segment_bytes % PAGE_BYTES, 0);
}

#[test]
fn a_cluster_id_never_changes() {
    assert_eq!(cluster_id(""), 0xcbf2_9ce4_8422_2325);
    assert_eq!(cluster_id("a"), 0xaf63_dc4c_8601_ec8c);
}

#[test]
fn a_log_has_a_level_and_a_format() {
    let log = |level: Option<&str>, format: Option<&str>| Settings {
        log: level.map(str::to_owned),
        log_format: format.map(str::to_owned),
        ..Settings::minimal()
    };
    assert_eq!(log(None, None).check().expect("good").log, LogConfig::default());
    let given = log(Some("warn"), Some("json"));
    let expected = LogConfig {
        level: tracing::level_filters::LevelFilter::WARN,
        format: crate::log::LogFormat::Json,
    };
    assert_eq!(
        (given.log_config(), given.check().expect("good").log),
        (expected, expected)
    );
    assert_eq!(
        refusal(log(None, Some("xml"))),
        "log_format: 'xml' is none of text, json"
    );
    assert_eq!(
        refusal(log(Some("loud"), None)),
        "log: 'loud' is none of error, warn, info, debug, trace, off"
    );
}
