//! What has no end, has no bound, is too deep, or is no script at all.

use super::{check, run};

#[test]
fn a_script_that_has_no_end_is_ended() {
    for text in [
        "while true do end",
        "repeat until false",
        "for i = 1, math.huge do end",
        "for i = 1, 1e18 do end",
        "for i = 10, 1, 0 do end",
        "local function f() return pcall(f) end while true do f() end",
        "while true do pcall(error) end",
        "while true do pcall(function() while true do end end) end",
        "return ('a'):rep(3000):find(('a?'):rep(100) .. ('a'):rep(100) .. 'b')",
        "return ('a'):rep(30000):find('.-.-.-.-.-.-b')",
        "return ('a'):rep(100000):find(('a'):rep(50000) .. 'b', 1, true)",
        "return ('x'):rep(60000):gsub('[' .. ('a'):rep(60000) .. ']', '')",
        "local t = setmetatable({}, {__index = function(t, k) return t[k + 1] end}) while true do pcall(function() return t[1] end) end",
        "local t = {} for i = 1, 1000 do t[i] = i end table.sort(t, function() while true do end end)",
        "local a = ('x'):rep(1e6) local b = ('x'):rep(1e6) while true do local c = a == b end",
        "local a = ('x'):rep(1e6) local t = {[a] = 1} while true do local c = t[a] end",
        "local t = {} for i = 1, 1e5 do t[i] = i end while true do unpack(t, 1, 5000) end",
        "local t = {} for i = 1, 1e5 do t['k' .. i] = i end while true do for k in pairs(t) do t[k] = nil end next(t) end",
        "local t = {} for i = 1, 1e4 do t[i] = i end while true do table.insert(t, 1, 0) table.remove(t, 1) end",
        "while true do cjson.decode(cjson.encode({1, 2, 3})) end",
        "local s = ('x'):rep(1e6) while true do redis.sha1hex(s) end",
        "local s = ('x'):rep(1e6) while true do redis.pcall(s) end",
    ] {
        assert_eq!(run(text), "too many steps", "{text}");
    }
}

#[test]
fn a_script_that_grows_without_bound_is_ended() {
    for text in [
        "return ('x'):rep(1e10)",
        "return ('x'):rep(1e300)",
        "return ('x'):rep(2 ^ 62)",
        "local s = 'x' while true do s = s .. s end",
        "local t = {} while true do t[#t + 1] = ('x'):rep(1000) end",
        "local s = ('x'):rep(1e6) local t = {} for i = 1, 1000 do t[i] = s end return table.concat(t)",
        "return (('x'):rep(1e5):gsub('x', ('y'):rep(1e5)))",
        "return (('x'):rep(1e5):gsub('(x+)', '%1%1%1%1%1%1%1%1%1%1' .. ('%1'):rep(1000)))",
        "local s = ('x'):rep(1e6) while true do s:upper() end",
        "local t = {} for i = 1, 1e9 do t[i] = {} end",
        "local s = ('\\1'):rep(1e6) local t = {} for i = 1, 100 do t[i] = s end return cjson.encode(t)",
    ] {
        let answer = run(text);
        assert!(answer.starts_with("too many "), "{text}: {answer}");
    }
}

#[test]
fn what_is_too_deep_is_an_error_before_the_stack_is_used_up() {
    // Half of what the thread of a test has, and an eighth of what the daemon has.
    let thread = std::thread::Builder::new().stack_size(1 << 20);
    let thread = thread.spawn(check_what_is_too_deep).expect("it starts");
    thread.join().expect("it ends");
}

fn check_what_is_too_deep() {
    let overflow = "error: user_script:1: stack overflow";
    let complex = "line 1: chunk has too many syntax levels";
    let nested = |open: &str, close: &str| format!("return {}1{}", open.repeat(5000), close.repeat(5000));
    check(&[
        ("local function f() return 1 + f() end return f()", overflow),
        ("local function f() return f() end return f()", overflow),
        (
            "local function f(a) local t = {{{{{{{{f(a)}}}}}}}} return t end return f(1)",
            overflow,
        ),
        (
            "local t = setmetatable({}, {}) getmetatable(t).__index = function(t, k) return t[k] end return t.x",
            overflow,
        ),
        (
            "local t = {} setmetatable(t, {__index = t, __newindex = t}) return t.x",
            "error: user_script:1: loop in gettable",
        ),
        (
            "local function f() return select(2, pcall(f)) end return f()",
            "user_script:1: stack overflow",
        ),
        (
            "return tostring(setmetatable({}, {__tostring = function(t) return tostring(t) end}))",
            overflow,
        ),
        (
            "return ('a'):rep(50):find(('(a'):rep(40))",
            "error: user_script:1: too many captures",
        ),
        (
            "return ('a'):rep(1000):find(('a?'):rep(1000))",
            "error: user_script:1: pattern too complex",
        ),
        (
            "local t = {} for i = 1, 1000 do t = {t} end return cjson.encode(t)",
            "error: user_script:1: Cannot serialise, excessive depth (129)",
        ),
        (
            "return cjson.decode(('['):rep(100000))",
            "error: user_script:1: Found too many nested data structures (129)",
        ),
        (&nested("(", ")"), complex),
        (&nested("{", "}"), complex),
        (&nested("- ", ""), complex),
        (&nested("f(", ")"), complex),
        (&nested("function() return ", " end"), complex),
        (&format!("return {}1", "1 + ".repeat(5000)), complex),
        (&format!("return {}1", "1 .. ".repeat(5000)), complex),
        (&format!("local f return f{}", "()".repeat(5000)), complex),
        (&format!("local f return f{}", ".x".repeat(5000)), complex),
        (&"do ".repeat(5000), complex),
        (&"if x then ".repeat(5000), complex),
        (
            &format!(
                "return {}",
                "(function() return f()()()()()()()()()()()()()()()".repeat(100)
            ),
            complex,
        ),
    ]);
}

#[test]
fn hostile_arguments_end_in_definite_answers() {
    check(HOSTILE);
}

#[test]
fn any_bytes_are_a_script_or_an_error() {
    let mut prng = crate::prng::Prng::new(1);
    let words = [
        "local", "x", "=", "{", "}", "(", ")", "function", "end", "if", "then", "'a'", "1", "..", "...",
        "return", "for", "in", "do", "while", "[", "]", ".", ":", ",", "not", "-", "#", "nil", "pairs",
        "string", "\n", "[[", "]]", "--", "\\", "\"", "\u{0}", "repeat", "until", "break", "==", "^", "t",
        "self", "pcall", "error",
    ];
    for _ in 0..20_000 {
        let count = prng.between(1, 30);
        let text: Vec<&str> = (0..count).filter_map(|_| prng.choose(&words).copied()).collect();
        run(&text.join(" "));
    }
}

/// Arguments at their edges, and beyond.
const HOSTILE: &[(&str, &str)] = &[
    (
        "return string.format('%99999d', 1)",
        "error: user_script:1: invalid format (width or precision too long)",
    ),
    ("return #string.format('%99.99f', 1e308)", "409"),
    ("return string.format('%d', 1e300)", "9223372036854775807"),
    (
        "return string.format('%y', 1)",
        "error: user_script:1: invalid option '%y' to 'format'",
    ),
    (
        "return string.format('%')",
        "error: user_script:1: invalid option '%' to 'format'",
    ),
    (
        "return string.format('%s')",
        "error: user_script:1: bad argument #2 to 'format' (string expected, got no value)",
    ),
    (
        "return {unpack({}, 1, 1e9)}",
        "error: user_script:1: too many results to unpack",
    ),
    (
        "return {unpack({}, -2 ^ 63, 2 ^ 63)}",
        "error: user_script:1: too many results to unpack",
    ),
    ("return {unpack({}, 2 ^ 63, -2 ^ 63)}", "{}"),
    ("return ('x'):rep(-1)", ""),
    ("return ('abc'):sub(-2 ^ 63, 2 ^ 63)", "abc"),
    ("return ('abc'):byte(-2 ^ 63, 2 ^ 63)", "97"),
    (
        "return ('x'):rep(10000):byte(1, -1)",
        "error: user_script:1: string slice too long",
    ),
    (
        "return table.concat({}, 'x', 1, 1e15)",
        "error: user_script:1: invalid value (nil) at index 1 in table for 'concat'",
    ),
    ("return ('abc'):find('b', 1e300)", "nil"),
    ("return ('abc'):find('b', -1e300)", "2"),
    (
        "return ('a'):find('[')",
        "error: user_script:1: malformed pattern (missing ']')",
    ),
    (
        "return ('a'):find('%')",
        "error: user_script:1: malformed pattern (ends with '%')",
    ),
    (
        "return ('a'):find('%b')",
        "error: user_script:1: unbalanced pattern",
    ),
    (
        "return ('a'):find('%f')",
        "error: user_script:1: missing '[' after '%f' in pattern",
    ),
    (
        "return ('a'):find('%1')",
        "error: user_script:1: invalid capture index",
    ),
    (
        "return ('ab'):find('.)')",
        "error: user_script:1: invalid pattern capture",
    ),
    (
        "return ('a'):find('(')",
        "error: user_script:1: unfinished capture",
    ),
    (
        "return ('a'):gsub('a', '%')",
        "error: user_script:1: invalid use of '%' in replacement string",
    ),
    (
        "return ('a'):gsub('a', '%2')",
        "error: user_script:1: invalid capture index",
    ),
    (
        "return math.random(0)",
        "error: user_script:1: bad argument #1 to 'random' (interval is empty)",
    ),
    ("return bit.lshift(1, 1e300)", "-2147483648"),
    ("return {math.ldexp(1, 1e300), math.frexp(1 / 0)}", "{inf,inf,0}"),
    (
        "return next({}, 'x')",
        "error: user_script:1: invalid key to 'next'",
    ),
    (
        "return select(0)",
        "error: user_script:1: bad argument #1 to 'select' (index out of range)",
    ),
    (
        "return tonumber('1', 99)",
        "error: user_script:1: bad argument #2 to 'tonumber' (base out of range)",
    ),
    (
        "return setmetatable(1, {})",
        "error: user_script:1: bad argument #1 to 'setmetatable' (table expected, got number)",
    ),
    (
        "return cjson.decode('[1,')",
        "error: user_script:1: Expected value but found T_END at character 4",
    ),
    (
        "return cjson.decode('{\"a\"')",
        "error: user_script:1: Expected colon but found T_END at character 5",
    ),
    (
        "return cjson.decode('\"\\\\ud800\"')",
        "error: user_script:1: Expected value but found invalid unicode escape code at character 8",
    ),
    (
        "return cjson.encode({[1000] = 1})",
        "error: user_script:1: Cannot serialise table: excessively sparse array",
    ),
    (
        "return cjson.encode(0 / 0)",
        "error: user_script:1: Cannot serialise number: must not be NaN or Inf",
    ),
    (
        "return cjson.encode(print_nothing)",
        "error: user_script:1: Script attempted to access nonexistent global variable 'print_nothing'",
    ),
];
