use bytes::Bytes;
use noraft::LogIndex;

use crate::level::Level;
use crate::machine::asked::{Asked, shown};
use crate::machine::{Machine, Restoring};
use crate::protocol::command::{Limit, Parsed, Request, SCRIPT_BYTES_MAX, parse};
use crate::protocol::resp::Reply;
use crate::time::Stamp;

fn request(words: &[&str]) -> Request {
    let words = words.iter().map(|word| Bytes::copy_from_slice(word.as_bytes()));
    match parse(words.collect()) {
        Ok(Parsed::Replicated(request)) => request,
        other => panic!("{other:?}"),
    }
}

fn ask(asked: &mut Asked, words: &[&str]) -> String {
    let request = request(words);
    shown(&asked.apply(&request.body))
}

fn eval(asked: &mut Asked, script: &str) -> String {
    ask(asked, &["EVAL", script, "1", "k", "a", "b"])
}

fn sha(script: &str) -> String {
    super::Name::of(script.as_bytes()).digits()
}

fn check(rows: &[(&str, &str)]) {
    let mut asked = Asked::new();
    for (script, expected) in rows {
        let expected = expected.replace("SHA", &sha(script));
        assert_eq!(eval(&mut asked, script), expected, "{script}");
    }
    asked.check(&[]);
}

#[test]
fn values_pass_between_scripts_and_commands_as_in_redis() {
    check(&[
        (
            "return KEYS[1] .. ARGV[1] .. ARGV[2] .. #KEYS .. #ARGV",
            "$5,kab12",
        ),
        ("return 3.99", ":3"),
        ("return -3.99", ":-3"),
        ("return 1 / 0", ":9223372036854775807"),
        ("return 0 / 0", ":0"),
        ("return true", ":1"),
        ("return false", "_"),
        ("return nil", "_"),
        ("return", "_"),
        ("return {1, 2, {3, 'x', false}, nil, 5}", "*3,:1,:2,*3,:3,$1,x,_"),
        ("return {}", "*0"),
        ("return {ok = 'FINE'}", "+FINE"),
        ("return {ok = 'OK'}", "+OK"),
        ("return {err = 'MY mistake'}", "-MY mistake"),
        ("return redis.status_reply('PONG')", "+PONG"),
        ("return redis.error_reply('MY mistake')", "-MY mistake"),
        ("return {double = 1.5}", ",1.5"),
        (
            "return print",
            "-ERR user_script:1: Script attempted to access nonexistent global variable 'print' script: SHA, on @user_script:1.",
        ),
        ("return redis.call('SET', KEYS[1], 10)", "+OK"),
        ("return redis.call('incrby', KEYS[1], 2.0)", ":12"),
        ("return type(redis.call('GET', KEYS[1]))", "$6,string"),
        ("return redis.call('GET', 'none') == false", ":1"),
        ("return redis.call('SET', KEYS[1], 'v').ok", "$2,OK"),
        (
            "redis.call('HSET', 'h', 'f', 1, 'g', 2) return redis.call('HMGET', 'h', 'f', 'none', 'g')",
            "*3,$1,1,_,$1,2",
        ),
        ("return #redis.call('HGETALL', 'h')", ":4"),
        (
            "redis.call('ZADD', 'z', 1.5, 'm') return redis.call('ZSCORE', 'z', 'm')",
            "$3,1.5",
        ),
        ("return redis.call('TYPE', 'z').ok", "$4,zset"),
        (
            "return redis.call('ZRANGE', 'z', 0, -1, 'WITHSCORES')",
            "*2,$1,m,$3,1.5",
        ),
        (
            "return redis.call('PING').ok .. redis.call('ECHO', 'x') .. redis.call('SELECT', 0).ok",
            "$7,PONGxOK",
        ),
        ("return {{{{{1}}}}}", "*1,*1,*1,*1,*1,:1"),
        (
            "return {{{{{{1}}}}}}",
            "-ERR user_script:1: the answer of the script is nested too deep script: SHA, on @user_script:1.",
        ),
        (
            "local t = {} t[1] = t return t",
            "-ERR user_script:1: the answer of the script is nested too deep script: SHA, on @user_script:1.",
        ),
    ]);
}

#[test]
fn an_error_names_the_script_and_the_line() {
    check(&[
        ("return redis.call('SET', 's', 'x')", "+OK"),
        (
            "\nreturn redis.call('INCR', 's')",
            "-ERR value is not an integer or out of range script: SHA, on @user_script:2.",
        ),
        (
            "return redis.pcall('INCR', 's')",
            "-ERR value is not an integer or out of range",
        ),
        (
            "return redis.call('LPUSH', 's', 1)",
            "-WRONGTYPE Operation against a key holding the wrong kind of value script: SHA, on @user_script:1.",
        ),
        (
            "return redis.call('NOSUCH')",
            "-ERR Unknown Redis command called from script script: SHA, on @user_script:1.",
        ),
        (
            "return redis.call('GET')",
            "-ERR Wrong number of args calling Redis command from script script: SHA, on @user_script:1.",
        ),
        (
            "return redis.call()",
            "-ERR Please specify at least one argument for this redis lib call script: SHA, on @user_script:1.",
        ),
        (
            "return redis.call('GET', {})",
            "-ERR Lua redis lib command arguments must be strings or integers script: SHA, on @user_script:1.",
        ),
        (
            "error('mine')",
            "-ERR user_script:1: mine script: SHA, on @user_script:1.",
        ),
        (
            "error({err = 'MY own'})",
            "-MY own script: SHA, on @user_script:1.",
        ),
        (
            "x = 1",
            "-ERR user_script:1: Attempt to modify a readonly table script: SHA, on @user_script:1.",
        ),
        (
            "return 1 +",
            "-ERR Error compiling script (new function): user_script:1: unexpected symbol near '<eof>'",
        ),
        (
            "local ok, e = pcall(redis.call, 'INCR', 's') return e",
            "$43,ERR value is not an integer or out of range",
        ),
    ]);
}

#[test]
fn what_no_script_may_call_is_refused() {
    let refused = "-ERR This Redis command is not allowed from script script: SHA, on @user_script:1.";
    for line in [
        "'EVAL', 'return 1', 0",
        "'EVALSHA', 'x', 0",
        "'SCRIPT', 'FLUSH'",
        "'MULTI'",
        "'EXEC'",
        "'WATCH', 'k'",
        "'SUBSCRIBE', 'c'",
        "'WAIT', 0, 0",
        "'NORAFT.ONCE', 1, 1, 'INCR', 'k'",
        "'NORAFT.SESSION', 'OPEN'",
        "'NORAFT.LIMIT', 'sessions', 1",
        "'NORAFT.INDEX'",
        "'INFO'",
        "'CONFIG', 'GET', '*'",
        "'CLIENT', 'ID'",
        "'HELLO', 3",
        "'QUIT'",
        "'RESET'",
    ] {
        let script = format!("return redis.call({line})");
        let mut asked = Asked::new();
        let before = asked.0.key_count();
        let answer = eval(&mut asked, &script);
        let unknown = refused.replace(
            "This Redis command is not allowed from script",
            "Unknown Redis command called from script",
        );
        let expected = [refused, &unknown].map(|text| text.replace("SHA", &sha(&script)));
        assert!(expected.contains(&answer), "{line}: {answer}");
        assert_eq!(asked.0.key_count(), before);
    }
    let mut asked = Asked::new();
    let answer = eval(&mut asked, "return redis.call('FLUSHALL')");
    assert!(answer.starts_with("-ERR"), "{answer}");
}

#[test]
fn a_script_that_only_reads_changes_nothing() {
    let mut asked = Asked::new();
    ask(&mut asked, &["SET", "k", "1"]);
    let read = "return redis.call('GET', 'k') .. redis.call('TTL', 'k')";
    assert_eq!(ask(&mut asked, &["EVAL_RO", read, "0"]), "$3,1-1");
    let write = "return redis.call('INCR', 'k')";
    let answer = ask(&mut asked, &["EVAL_RO", write, "0"]);
    assert!(
        answer.starts_with("-ERR Write commands are not allowed from read-only scripts."),
        "{answer}"
    );
    let answer = ask(&mut asked, &["EVALSHA_RO", &sha(write), "0"]);
    assert!(
        answer.starts_with("-ERR Write commands are not allowed from read-only scripts."),
        "{answer}"
    );
    assert_eq!(asked.ask("GET k"), "$1,1");
}

#[test]
fn what_a_script_wrote_before_it_failed_stays() {
    for end in [
        "error('x')",
        "while true do end",
        "local s = 'x' while true do s = s .. s end",
        "redis.call('NOSUCH')",
        "return nosuch",
    ] {
        let mut asked = Asked::new();
        let script = format!("redis.call('SET', KEYS[1], 'v') redis.call('RPUSH', 'l', 1, 2) {end}");
        let answer = eval(&mut asked, &script);
        assert!(answer.starts_with("-ERR"), "{end}: {answer}");
        asked.check(&[("GET k", "$1,v"), ("LRANGE l 0 -1", "*2,$1,1,$1,2")]);
    }
}

#[test]
fn scripts_are_kept_by_their_names_and_in_snapshots() {
    let mut asked = Asked::new();
    let script = "return redis.call('INCR', KEYS[1])";
    let name = sha(script);
    let unknown = "-NOSCRIPT No matching script. Please use EVAL.";
    assert_eq!(ask(&mut asked, &["EVALSHA", &name, "1", "k"]), unknown);
    assert_eq!(ask(&mut asked, &["EVALSHA", "short", "0"]), unknown);
    let loaded = ask(&mut asked, &["SCRIPT", "LOAD", script]);
    assert_eq!(loaded, format!("$40,{name}"));
    assert_eq!(
        ask(&mut asked, &["EVALSHA", &name.to_uppercase(), "1", "k"]),
        ":1"
    );
    ask(&mut asked, &["EVAL", "return 1", "0"]);
    let exists = request(&["SCRIPT", "EXISTS", &name, &sha("return 1"), &sha("return 2"), "x"]);
    assert_eq!(shown(&asked.0.query(&exists.body)), "*4,:1,:1,:0,:0");
    asked.check(&[]);
    let mut back = asked.restored();
    assert_eq!(shown(&back.0.query(&exists.body)), "*4,:1,:1,:0,:0");
    assert_eq!(ask(&mut back, &["EVALSHA", &name, "1", "k"]), ":2");
    assert_eq!(ask(&mut asked, &["EVALSHA", &name, "1", "k"]), ":2");
    assert_eq!(back.0.state_hash(), asked.0.state_hash());
    assert_eq!(ask(&mut asked, &["SCRIPT", "FLUSH"]), "+OK");
    assert_eq!(ask(&mut asked, &["EVALSHA", &name, "1", "k"]), unknown);
    assert_eq!(
        ask(&mut asked, &["EVAL", "return 1 +", "0"]).split(':').next(),
        Some("-ERR Error compiling script (new function)")
    );
    assert_eq!(shown(&asked.0.query(&exists.body)), "*4,:0,:0,:0,:0");
    asked.check(&[]);
}

#[test]
fn of_too_many_scripts_those_of_eval_go_first() {
    let mut asked = Asked::new();
    asked.apply(&Request::to_set_limit(Limit::ScriptsBytes, 1 << 20).body);
    let long = |text: &str| format!("return '{text}' --{}", "x".repeat(SCRIPT_BYTES_MAX - 200));
    let names: Vec<String> = ["a", "b", "c", "d", "e", "f"]
        .map(|text| sha(&long(text)))
        .to_vec();
    let kept = |asked: &Asked| {
        let words: Vec<&str> = ["SCRIPT", "EXISTS"]
            .into_iter()
            .chain(names.iter().map(|name| &name[..]))
            .collect();
        shown(&asked.0.query(&request(&words).body)).replace([',', ':'], "")
    };
    ask(&mut asked, &["EVAL", &long("a"), "0"]);
    ask(&mut asked, &["SCRIPT", "LOAD", &long("b")]);
    ask(&mut asked, &["EVAL", &long("c"), "0"]);
    ask(&mut asked, &["SCRIPT", "LOAD", &long("a")]);
    assert_eq!(kept(&asked), "*6111000");
    ask(&mut asked, &["SCRIPT", "LOAD", &long("d")]);
    ask(&mut asked, &["SCRIPT", "LOAD", &long("e")]);
    assert_eq!(kept(&asked), "*6110110", "c was not loaded");
    asked.check(&[]);
    ask(&mut asked, &["SCRIPT", "LOAD", &long("f")]);
    assert_eq!(kept(&asked), "*6100111", "b was loaded before the others");
    assert_eq!(ask(&mut asked, &["EVAL", "return 1", "0"]), ":1");
    asked.check(&[]);
}

#[test]
fn a_command_takes_steps_for_what_it_walks_through() {
    let fill = "for i = 1, 200 do local t = {} for j = 1, 500 do t[j] = i * 500 + j end redis.call('SADD', 's' .. i % 4, unpack(t)) redis.call('RPUSH', 'l', unpack(t)) end \
                redis.call('SET', 'x', ('x'):rep(8000)) redis.call('SET', 'y', ('y'):rep(8000)) for i = 1, 500 do redis.call('SET', 'key' .. i, i) end return 1";
    for command in [
        "'SINTERCARD', 2, 's1', 's2'",
        "'SDIFFSTORE', 'd', 's1', 's2', 's3'",
        "'LPOS', 'l', 'none'",
        "'LREM', 'l', 0, 'none'",
        "'LCS', 'x', 'y', 'LEN'",
        "'KEYS', 'none*none'",
        "'SSCAN', 's1', 0, 'MATCH', 'none', 'COUNT', 100000",
        "'APPEND', 'x', 'y'",
        "'SETRANGE', 'x', 0, 'y'",
    ] {
        let mut asked = Asked::new();
        asked.apply(&Request::to_set_limit(Limit::ScriptSteps, 10_000_000).body);
        assert_eq!(eval(&mut asked, fill), ":1");
        asked.apply(&Request::to_set_limit(Limit::ScriptSteps, 1_000_000).body);
        let answer = eval(
            &mut asked,
            &format!(
                "local n = 0 while true do n = n + 1 redis.call('SET', 'n', n) redis.call({command}) end"
            ),
        );
        assert!(answer.contains("took more than"), "{command}: {answer}");
        let count = asked.ask("GET n");
        let count: u64 = count
            .split(',')
            .nth(1)
            .and_then(|count| count.parse().ok())
            .expect("a number");
        assert!(count < 8_000, "{command} was carried out {count} times");
    }
}

#[test]
fn limits_are_those_of_the_state() {
    let mut asked = Asked::new();
    let script = "for i = 1, 2000 do end return 1";
    assert_eq!(eval(&mut asked, script), ":1");
    asked.apply(&Request::to_set_limit(Limit::ScriptSteps, 1000).body);
    let answer = eval(&mut asked, script);
    assert_eq!(
        answer,
        format!(
            "-ERR the script took more than 1000 steps; what it wrote before that stays script: {}, on @user_script:1.",
            sha(script)
        )
    );
    asked.apply(&Request::to_set_limit(Limit::ScriptSteps, 1_000_000).body);
    asked.apply(&Request::to_set_limit(Limit::ScriptBytes, 1 << 20).body);
    let answer = eval(&mut asked, "return ('x'):rep(2 ^ 21)");
    assert!(
        answer.starts_with("-ERR the script made more than 1048576 bytes"),
        "{answer}"
    );
    let answer = eval(
        &mut asked,
        "local t = {} for i = 1, 20 do t = {t, t} end return t",
    );
    assert!(answer.contains("nested too deep"), "{answer}");
    let answer = eval(
        &mut asked,
        "local t = {} for i = 1, 400 do t[i] = 1 end local u = {} for i = 1, 400 do u[i] = t end return {u, u, u, u}",
    );
    assert!(
        answer.starts_with("-ERR the script made more than"),
        "an answer has every place: {answer}"
    );
}

/// Draws, time, order and failures: what could differ between two nodes.
const VARIED: [&str; 8] = [
    "return redis.call('TIME')[1] .. math.random(1000000) .. math.random()",
    "local t = {} for i = 1, 20 do t['k' .. math.random(100)] = i end local s = '' for k, v in pairs(t) do s = s .. k .. v redis.call('RPUSH', 'order', k) end return s",
    "for i = 1, 10 do redis.call('SADD', 's', math.random(1000)) end return redis.call('SPOP', 's', 3)",
    "redis.call('SET', 'float', 0.1 + 0.2 ^ 0.5 + math.sin(1) + math.exp(0.3)) return redis.call('GET', 'float')",
    "return tostring({}) .. tostring(function() end) .. tostring(redis.call)",
    "redis.call('XADD', 'x', '*', 'f', cjson.encode({b = 1, a = {2, 3}})) return redis.call('XRANGE', 'x', '-', '+')",
    "redis.call('INCR', 'n') if redis.call('GET', 'n') % 2 == 0 then error('even') end while true do redis.call('INCR', 'n') end",
    "redis.call('SET', 'e', 'v', 'PX', 25) return redis.call('PTTL', 'e') .. string.format('%.17g %5.2f', 0 / 0, -1 / 3)",
];

#[test]
fn one_log_makes_one_state_wherever_and_however_often_it_is_applied() {
    let run = |from_snapshot_at: Option<usize>| {
        let mut asked = Asked::new();
        let mut seen = Vec::new();
        for number in 0..64 {
            if from_snapshot_at == Some(number) {
                asked = asked.restored();
            }
            let script = VARIED[number % VARIED.len()];
            let answer = if number < 32 {
                ask(&mut asked, &["EVAL", script, "0"])
            } else {
                ask(&mut asked, &["EVALSHA", &sha(script), "0"])
            };
            seen.push((answer, asked.0.state_hash()));
        }
        asked.check(&[]);
        seen
    };
    let once = run(None);
    let (first, again) = (&once[0].0, &once[8].0);
    assert_ne!(first, again, "another entry draws another number");
    for other in [None, Some(7), Some(33), Some(63)] {
        assert_eq!(run(other), once);
    }
    // The answers and states of this version, in debug and release builds, and on any machine.
    let last = once.last().map(|(_, hash)| *hash);
    assert_eq!(
        last,
        Some(GOLDEN),
        "{:?}",
        once.iter().map(|(answer, _)| answer).take(8).collect::<Vec<_>>()
    );
}

/// What the log above makes.
const GOLDEN: u64 = 15_913_862_508_167_684_751;

#[test]
fn below_its_level_a_script_changes_nothing() {
    let mut machine = Machine::new();
    let request = request(&["EVAL", "return redis.call('SET', 'k', 1)", "0"]);
    let reply = machine.apply(LogIndex::new(1), Stamp::from_millis(1), &request.body);
    assert!(matches!(reply, Reply::Error(_)));
    assert_eq!(machine.key_count(), 0);
    assert_eq!(request.takes_level(), Level::SCRIPT);
}

#[test]
fn a_block_and_a_session_carry_out_scripts() {
    let mut asked = Asked::new();
    let script = "return redis.call('INCR', KEYS[1])";
    let body = request(&["EVAL", script, "1", "k"]).body;
    let block = Request::to_run_block(&std::collections::BTreeMap::new(), &[body.clone(), body])
        .expect("it is small");
    assert_eq!(shown(&asked.apply(&block.body)), "*2,:1,:2");
    let session = shown(&asked.apply(&Request::to_open_session().body)).replace(':', "");
    let once = ["NORAFT.ONCE", &session, "1", "EVAL", script, "1", "k"];
    assert_eq!(ask(&mut asked, &once), ":3");
    assert_eq!(ask(&mut asked, &once), ":3");
    asked.check(&[("GET k", "$1,3")]);
    let status = ["NORAFT.ONCE", &session, "2", "EVAL", "return {ok = 'MINE'}", "0"];
    assert_eq!(ask(&mut asked, &status), "+MINE");
    assert_eq!(ask(&mut asked.restored(), &status), "+MINE");
}

#[test]
fn only_an_image_that_scripts_could_have_made_is_taken() {
    let mut asked = Asked::new();
    ask(&mut asked, &["SCRIPT", "LOAD", "return 1"]);
    ask(&mut asked, &["SCRIPT", "LOAD", "return 2"]);
    let image = asked.0.chunks().collect::<Vec<_>>().concat();
    let at = image
        .windows(8)
        .position(|part| part == b"return 1")
        .expect("it is there");
    let mut twice = image.clone();
    let other = image
        .windows(8)
        .position(|part| part == b"return 2")
        .expect("it is there");
    twice[other + 7] = b'1';
    let mut disordered = image.clone();
    disordered[at - 4 - 8] = 9;
    for bad in [twice, disordered] {
        assert!(!Restoring::default().take(&bad));
    }
    assert!(Restoring::default().take(&image));
}
