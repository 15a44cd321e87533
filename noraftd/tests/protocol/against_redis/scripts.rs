//! Scripts, at both: what they return, what their errors say, and what they leave behind.

use noraftd::prng::Prng;
use noraftd::protocol::resp::RespVersion;

use super::{Both, text, words};

/// Each goes on from what those before it left behind.
const SCRIPTS: &[&str] = &[
    "return {KEYS[1], ARGV[1], ARGV[2], #KEYS, #ARGV}",
    "return {1, 2.9, -2.9, 'x', true, false, {3, {4}}, nil, 5}",
    "return {ok = 'FINE'}",
    "return {err = 'MY mistake'}",
    "return {err = 'short'}",
    "return redis.status_reply('FINE')",
    "return redis.error_reply('MY mistake')",
    "return redis.error_reply('short')",
    "return redis.error_reply('-MY mistake')",
    "return redis.error_reply()",
    "return {double = 3.25}",
    "return redis.call('SET', KEYS[1], 'v')",
    "return redis.call('GET', KEYS[1])",
    "return redis.call('GET', 'k3')",
    "return type(redis.call('GET', 'k3'))",
    "return redis.call('INCR', KEYS[1])",
    "return redis.pcall('INCR', KEYS[1])",
    "local r = redis.pcall('INCR', KEYS[1]) return r.err",
    "local ok, r = pcall(redis.call, 'INCR', KEYS[1]) return {tostring(ok), type(r), r.err}",
    "\n\nreturn redis.call('INCR', KEYS[1])",
    "return redis.call('LPUSH', KEYS[1], 1)",
    "return redis.call('NOSUCH', 1)",
    "return redis.call('GET')",
    "return redis.call()",
    "return redis.pcall()",
    "return redis.call('GET', {})",
    "return redis.call('GET', true)",
    "return redis.call('EVAL', 'return 1', 0)",
    "return redis.call('MULTI')",
    "return redis.call('SET', KEYS[1], 10.5)",
    "return redis.call('GET', KEYS[1])",
    "return redis.call('SET', KEYS[1], 0.1)",
    "return redis.call('GET', KEYS[1])",
    "return redis.call('SET', KEYS[1], 1e20)",
    "return redis.call('GET', KEYS[1])",
    "return redis.call('SET', KEYS[1], 2^53)",
    "return redis.call('GET', KEYS[1])",
    "redis.call('DEL', KEYS[1]) return redis.call('RPUSH', KEYS[1], 1, 2, 3)",
    "return redis.call('LRANGE', KEYS[1], 0, -1)",
    "return redis.call('LPOP', KEYS[1], 5)",
    "redis.call('HSET', 'k2', 'f', 'v') return redis.call('HGETALL', 'k2')",
    "return redis.call('HMGET', 'k2', 'f', 'g')",
    "redis.call('ZADD', 'k3', 1.5, 'a', 2, 'b') return redis.call('ZRANGE', 'k3', 0, -1, 'WITHSCORES')",
    "return redis.call('ZSCORE', 'k3', 'a')",
    "return redis.call('TYPE', 'k3')",
    "return redis.call('PING')",
    "return redis.call('PING', 'x')",
    "return redis.call('ECHO', 'x')",
    "redis.call('SET', KEYS[1], 'kept') error('after')",
    "return redis.call('GET', KEYS[1])",
    "error('mine')",
    "error('mine', 0)",
    "error('mine', 2)",
    "error({err = 'MY own'})",
    "local function f() error('inner') end\nlocal function g()\nf()\nend\ng()",
    "local function f() error('outer', 2) end\n\nf()",
    "return 1 +",
    "return 'unfinished",
    "x = 1",
    "return x",
    "return _G.x",
    "KEYS = 1",
    "KEYS[1] = 'changed' return KEYS",
    "string.x = 1",
    "rawset(_G, 'x', 1)",
    "local t = nil return t.x",
    "local t = {} return t.x.y",
    "local t = {} t.x()",
    "local t = {} t:x()",
    "return 1 + {}",
    "return 1 + nil",
    "return 'x' + 1",
    "return 1 < 'x'",
    "return {} < {}",
    "return 'x' .. {}",
    "return #5",
    "local t = {} t[nil] = 1",
    "return math.floor()",
    "return ('x'):rep()",
    "return string.format('%d', 'x')",
    "return setmetatable({}, 1)",
    "return {pcall(function() local t t() end)}",
    "assert(false)",
    "assert(nil, 'said')",
    "return {select('#', nil, nil), select(2, 'a', 'b', 'c')}",
    "return {tostring(1e15), tostring(1e14), tostring(123456.789), tostring(-0.1), tostring(1/3), tostring(1e100), tostring(2^31)}",
    "return {tostring(nil), tostring(true), tostring('x')}",
    "return {tonumber('0x1F'), tonumber('1e2'), tonumber(' 7 '), tonumber('7x'), 8}",
    "return {tonumber('ff', 16), tonumber('777', 8), tonumber('zz', 36)}",
    "return {7 % 3, -7 % 3, 7 % -3, 2 ^ 10, 7 / 2, -7 / 2}",
    "return {('hello world'):find('o w'), ('hello'):find('l+'), ('a+b'):find('+', 1, true)}",
    "return {('key = value'):match('^(%w+)%s*=%s*(%w+)$')}",
    "return {('hello'):gsub('l', 'L'), 1}",
    "return {('hello world'):gsub('(%w+)', '<%1>')}",
    "return {('abc'):gsub('', '-')}",
    "return {('hello'):gsub('l', {l = 'r'}), ('hello'):gsub('.', function(c) if c == 'l' then return 'r' end end)}",
    "local t = {} for k, v in ('a=1, b=2'):gmatch('(%w+)=(%w+)') do t[#t + 1] = k t[#t + 1] = v end return t",
    "return {('%d'):format(3.99), ('%5.1f|%-5d|%05d'):format(3.14159, 42, 42), ('%x %X %o'):format(255, 255, 8), ('%s %q'):format('a', 'b\"c')}",
    "return {('%g %g %g'):format(1e20, 0.1, 100), ('%e'):format(12345.678), ('%10s|%-10s|%.2s'):format('a', 'b', 'cde'), ('%c%c'):format(72, 105)}",
    "return {('x'):byte(), ('abc'):byte(1, -1), string.char(72, 105), ('abc'):sub(2), ('abc'):sub(-2, -1), ('aBc'):upper(), ('aBc'):lower(), ('abc'):reverse(), ('ab'):rep(3), ('abc'):len()}",
    "local t = {5, 2, 8, 1} table.sort(t) return t",
    "local t = {5, 2, 8, 1} table.sort(t, function(a, b) return a > b end) return t",
    "local t = {1, 2, 3} table.insert(t, 4) table.insert(t, 1, 0) table.remove(t, 2) return {table.concat(t, ','), table.concat(t), #t, table.remove(t), table.getn(t), table.maxn(t)}",
    "local t = {} for i, v in ipairs({'a', 'b', nil, 'd'}) do t[#t + 1] = v end return t",
    "return {math.floor(-1.5), math.ceil(-1.5), math.abs(-3), math.max(1, 3, 2), math.min(3, 1, 2), math.fmod(7, 3), math.sqrt(16), math.pow(2, 8), math.floor(math.pi * 1000)}",
    "return {bit.band(0xff, 0x0f), bit.bor(1, 2), bit.bxor(5, 3), bit.bnot(0), bit.lshift(1, 4), bit.rshift(256, 4), bit.arshift(-16, 2), bit.rol(1, 31), bit.ror(1, 1), bit.bswap(1), bit.tobit(2^32 + 5), bit.tohex(255, 4)}",
    "return cjson.encode({1, 2, {3}, 'x', true, cjson.null})",
    "return cjson.encode({a = 'x/\"\\\\y\\n\\1'})",
    "return {cjson.encode({}), cjson.encode('x'), cjson.encode(1.5), cjson.encode(1e20), cjson.encode({[1] = 1, [2] = 2, [4] = 4})}",
    "local t = cjson.decode('{\"a\": [1, 2.5, \"x\", null, true, {\"b\": []}], \"c\": -1e3}') return {t.a[1], t.a[3], t.a[4] == cjson.null, #t.a, t.c, type(t.a[6].b)}",
    "return cjson.decode('[\"\\\\u00e9\\\\n\\\\/\", 12345678901]')",
    "return cjson.decode('[1,')",
    "return cjson.decode('x')",
    "return cjson.decode('{\"a\" 1}')",
    "return cjson.encode(function() end)",
    "return cjson.encode({[1] = 1, [100] = 2})",
    "return redis.sha1hex('hello')",
    "return redis.sha1hex()",
    "local a <const> = 1",
    "goto done",
    "return loadfile",
    "return dofile",
    "return print",
    "return io",
    "return require",
    "local m = setmetatable({}, {__index = function(t, k) return k .. k end, __call = function(t, x) return x + 1 end}) return {m.ab, m(41)}",
    "local a, b, c = (function() return 1, 2, 3 end)() return {a, b, c}",
    "local s = 0 for i = 10, 1, -2 do s = s + i end return s",
    "local t = {} for i = 1, 3 do t[i] = function() return i end end return {t[1](), t[2](), t[3]()}",
    "local n = 0 repeat local k = n n = n + 1 until k >= 4 return n",
    "local t = {n = 0} function t:add(x) self.n = self.n + x return self end return t:add(1):add(2).n",
    "do return 1 end return 2",
    "return [[long\n]] .. [==[ ]] ]==] .. \"\\65\\066\\x\"",
    "return #'\\0a\\0'",
    "return -2 ^ 2",
    "return not nil == true",
    "return 1 .. 2",
    "return 'a' < 'b' and 'B' < 'a' and 'a' < 'aa'",
    "local t = {10, 20, 30, nil} return #t",
    "local t = {10, 20, 30, nil, 50} return #t",
    "return unpack({1, 2, 3})",
    "return {unpack({1, 2, 3}, 2, 3)}",
    "return {rawequal('a', 'a'), rawget({5}, 1), type(rawset({}, 1, 2)), type(next({})), next({7})}",
    "return {xpcall(function() error('e', 0) end, function(e) return e .. '!' end)}",
    "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) else return 0 end",
];

#[test]
fn scripts_return_say_and_leave_behind_what_they_do_in_redis() {
    for version in [RespVersion::V2, RespVersion::V3] {
        let Some(mut both) = Both::start(version) else {
            eprintln!("skipped: no redis-server is installed");
            return;
        };
        let mut differences = Vec::new();
        for script in SCRIPTS {
            let asked = words(&["EVAL", script, "1", "k1", "a", "b"]);
            if let Err(differs) = both.ask(&asked) {
                differences.push(format!("{script}\n    {differs}"));
            }
        }
        assert!(differences.is_empty(), "{}", differences.join("\n"));
        both.compare_states();
    }
}

#[test]
fn a_script_is_named_kept_and_forgotten_as_in_redis() {
    let Some(mut both) = Both::start(RespVersion::V2) else {
        eprintln!("skipped: no redis-server is installed");
        return;
    };
    let name = "f5f2ffe9a1e1f3f7a3f8d1b5d6f9a0b1c2d3e4f5";
    let known = "4ca238f611c9d0ae4e9a75a5dbac22aedc1e44a6";
    for line in [
        &["SCRIPT", "LOAD", "return ARGV[1]"][..],
        &["SCRIPT", "LOAD", "return +"],
        &["SCRIPT", "EXISTS", name, "x"],
        &["EVALSHA", name, "0"],
        &["EVALSHA", "x", "0"],
        &["EVALSHA", known, "0"],
        &["EVAL", "return ARGV[1]", "0", "x"],
        &["EVAL", "return 1", "x"],
        &["EVAL", "return 1", "-1"],
        &["EVAL", "return 1", "2", "a"],
        &["EVAL", "return 1"],
        &["EVAL_RO", "return redis.call('GET', 'k1')", "0"],
        &["EVAL_RO", "return redis.call('SET', 'k1', 1)", "0"],
        &["EVAL_RO", "return redis.pcall('SET', 'k1', 1)", "0"],
        &["SCRIPT", "FLUSH", "NOW"],
        &["SCRIPT", "FLUSH"],
        &["SCRIPT", "EXISTS"],
        &["SCRIPT", "NOSUCH"],
        &["SCRIPT", "KILL"],
        &["SCRIPT"],
    ] {
        let asked = words(line);
        both.ask(&asked)
            .unwrap_or_else(|differs| panic!("{}: {differs}", text(&asked)));
    }
}

/// Commands that are drawn, each by a script that passes them on.
#[test]
fn commands_in_scripts_answer_what_they_do_in_redis() {
    let Some(mut both) = Both::start(RespVersion::V2) else {
        eprintln!("skipped: no redis-server is installed");
        return;
    };
    let mut prng = Prng::new(5);
    let mut asked = 0;
    while asked < 2000 {
        let drawn = super::draw(&mut prng);
        let has_order = super::Shape::of(&drawn) == super::Shape::All;
        // A node refuses some words before it looks at the key, and scans go their own ways.
        let is_usual = |word: &bytes::Bytes| !word.to_ascii_uppercase().ends_with(b"SCAN");
        if !has_order || !drawn.iter().all(is_usual) {
            continue;
        }
        asked += 1;
        let script = words(&["EVAL", "return redis.pcall(unpack(ARGV))", "0"]);
        let by_script = [script, drawn.clone()].concat();
        let plain = both.node.ask(&drawn, RespVersion::V2);
        if plain.is_refused_unread {
            continue;
        }
        both.redis.ask(&drawn);
        if let Err(differs) = both.ask(&by_script) {
            panic!("{}: {differs}", text(&drawn));
        }
    }
    both.compare_states();
}
