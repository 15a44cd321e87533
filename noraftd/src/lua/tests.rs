//! What scripts do, and what they cannot.

use bytes::Bytes;

use super::{Budget, Failure, Host, Spent, Value, Vm, machine, parse};

struct NoHost;

impl Host for NoHost {
    fn command(&mut self, vm: &mut Vm<'_>, _: Vec<Bytes>) -> Result<Value, Failure> {
        vm.error_table("ERR no command")
    }
}

const BUDGET: Budget = Budget {
    steps: 1_000_000,
    bytes: 64 << 20,
};

/// What a text returns, as `tostring` shows it; or why it did not.
fn run(text: &str) -> String {
    let body = match parse(text.as_bytes()) {
        Ok(body) => body,
        Err(error) => return format!("line {}: {}", error.line, error.text),
    };
    let mut host = NoHost;
    let mut vm = machine(text.as_bytes(), BUDGET, 7, &mut host);
    match vm.run(body) {
        Ok(value) => shown(&vm, &value),
        Err(Failure::Raised(raised)) => format!("error: {}", shown(&vm, &raised.value)),
        Err(Failure::Spent(Spent::Steps)) => "too many steps".to_owned(),
        Err(Failure::Spent(Spent::Bytes)) => "too many bytes".to_owned(),
    }
}

fn shown(vm: &Vm<'_>, value: &Value) -> String {
    match value {
        Value::Table(table) => {
            let parts = vm.elements(*table).iter().map(|value| shown(vm, value));
            format!("{{{}}}", parts.collect::<Vec<_>>().join(","))
        }
        Value::Nil => "nil".to_owned(),
        Value::Bool(is) => is.to_string(),
        other => Vm::to_text(other).map_or_else(
            || other.type_name().to_owned(),
            |text| String::from_utf8_lossy(&text).into_owned(),
        ),
    }
}

fn check(rows: &[(&str, &str)]) {
    for (text, expected) in rows {
        assert_eq!(run(text), *expected, "{text}");
    }
}

#[test]
fn statements_do_what_the_manual_says() {
    check(&[
        ("return 1 + 2 * 3 ^ 2 ^ 0.5 % 7", "3.4576087756748"),
        ("local a, b = 1 return b", "nil"),
        ("local a, b = 1, 2 a, b = b, a return a .. b", "21"),
        (
            "local t = {} for i = 1, 3 do t[#t + 1] = i * i end return t",
            "{1,4,9}",
        ),
        ("local s = 0 for i = 10, 1, -3 do s = s + i end return s", "22"),
        ("local s = 0 for i = 1, 0 do s = 1 end return s", "0"),
        (
            "local i = 0 while true do i = i + 1 if i == 5 then break end end return i",
            "5",
        ),
        (
            "local i = 0 repeat local j = i i = i + 1 until j == 3 return i",
            "4",
        ),
        (
            "if nil then return 1 elseif false then return 2 else return 3 end",
            "3",
        ),
        (
            "local function f(...) return select('#', ...), ... end return {f(nil, 2)}",
            "{2,nil,2}",
        ),
        ("local function f() return 1, 2 end return {f(), f()}", "{1,1,2}"),
        ("local function f() return 1, 2 end return {(f())}", "{1}"),
        (
            "local t = {1, 2, x = 3, [10] = 4; 5} return {#t, t.x, t[10], t[3]}",
            "{3,3,4,5}",
        ),
        (
            "local o = {n = 1} function o:add(k) self.n = self.n + k return self end return o:add(2):add(3).n",
            "6",
        ),
        (
            "local f = {} for i = 1, 3 do f[i] = function() i = i + 1 return i end end return {f[1](), f[1](), f[2]()}",
            "{2,3,3}",
        ),
        (
            "local x = 1 local function g() local function h() x = x + 1 return x end return h end g()() return x",
            "2",
        ),
        ("return 'a' == 'a' and 1 ~= '1' and not nil", "true"),
        ("return nil or false", "false"),
        (
            "return {10 / 4, 7 % 3, -7 % 3, 7 % -3, 1 / 0, -1 / 0, 0 / 0, 2 ^ 53}",
            "{2.5,1,2,-2,inf,-inf,nan,9.007199254741e+15}",
        ),
        ("return '10' + 5 .. ''", "15"),
        ("return [[\na\\n]] .. \"\\65\\n\" .. [==[]]]==]", "a\\nA\n]]"),
        ("return #'abc' -- a comment\n --[[ another\n one ]]", "3"),
        ("return 0x10 + 1e2 + .5", "116.5"),
        ("do local a = 1 end return 'ended';", "ended"),
    ]);
}

#[test]
fn metatables_are_asked() {
    check(&[
        (
            "local t = setmetatable({}, {__index = function(t, k) return k .. '!' end}) return t.x",
            "x!",
        ),
        ("local t = setmetatable({}, {__index = {a = 1}}) return t.a", "1"),
        (
            "local log = {} local t = setmetatable({}, {__newindex = log}) t.a = 1 return {rawget(t, 'a'), log.a}",
            "{nil,1}",
        ),
        (
            "local m = {__add = function(a, b) return 'sum' end, __concat = function() return 'cat' end, __unm = function() return 'neg' end} local t = setmetatable({}, m) return {t + 1, 1 + t, t .. 'x', 'x' .. t, -t}",
            "{sum,sum,cat,cat,neg}",
        ),
        (
            "local m = {__eq = function() return true end, __lt = function() return true end, __le = function() return false end} local a, b = setmetatable({}, m), setmetatable({}, m) return {a == b, a < b, a <= b, a ~= b}",
            "{true,true,false,false}",
        ),
        (
            "local t = setmetatable({}, {__call = function(self, a) return a * 2 end}) return t(21)",
            "42",
        ),
        (
            "return tostring(setmetatable({}, {__tostring = function() return 'me' end}))",
            "me",
        ),
        (
            "return getmetatable(setmetatable({}, {__metatable = 'locked'}))",
            "locked",
        ),
        ("return ('x'):rep(3)", "xxx"),
    ]);
}

#[test]
fn libraries_do_what_the_manual_says() {
    check(LIBRARIES);
}

#[test]
fn errors_say_where_and_what() {
    check(ERRORS);
}

#[test]
fn nothing_has_an_address_or_an_order_of_its_own() {
    let text = "local t = {} for i = 1, 5 do t[{}] = i t[function() end] = -i end \
                local s = tostring({}) .. tostring(print_me or tostring) \
                for k, v in pairs(t) do s = s .. v .. tostring(k) end return s .. math.random(1000) .. math.random()";
    let text = text.replace("print_me or ", "");
    let once = run(&text);
    assert!(
        once.contains("1table: 0x") && once.contains("-1function: 0x"),
        "{once}"
    );
    for _ in 0..3 {
        assert_eq!(run(&text), once);
    }
    check(&[(
        "return tostring(0 / 0) .. tostring(-(0 / 0)) .. string.format('%f', 0 / 0)",
        "nannannan",
    )]);
}

#[test]
fn what_would_lead_out_is_not_there() {
    for name in [
        "load",
        "loadstring",
        "loadfile",
        "dofile",
        "require",
        "module",
        "collectgarbage",
        "gcinfo",
        "newproxy",
        "getfenv",
        "setfenv",
        "print",
        "io",
        "os",
        "debug",
        "package",
        "coroutine",
    ] {
        let text = format!("return {name}");
        let expected =
            format!("error: user_script:1: Script attempted to access nonexistent global variable '{name}'");
        assert_eq!(run(&text), expected);
        assert_eq!(run(&format!("return rawget(_G, '{name}')")), "nil");
    }
    assert_eq!(run("return string.dump"), "nil");
}

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

/// What libraries answer.
const LIBRARIES: &[(&str, &str)] = &[
    (
        "return {('hello'):find('l'), ('hello'):find('xyz'), ('a.b'):find('.', 1, true)}",
        "{3,nil,2,2}",
    ),
    ("return {('key=val'):match('(%w+)=(%w+)')}", "{key,val}"),
    ("return {('hello world'):gsub('o', '0')}", "{hell0 w0rld,2}"),
    ("return (('abc'):gsub('%w', '%0%0'))", "aabbcc"),
    ("return (('$a $b'):gsub('%$(%w)', {a = 'A'}))", "A $b"),
    ("return (('abc'):gsub('', '-'))", "-a-b-c-"),
    (
        "return (('THE (quick) fox'):gsub('%f[%a]%a+', string.lower))",
        "the (quick) fox",
    ),
    (
        "local t = {} for k, v in ('a=1, b=2'):gmatch('(%w)=(%w)') do t[#t + 1] = k .. v end return t",
        "{a1,b2}",
    ),
    ("return ('  x y '):match('^%s*(.-)%s*$')", "x y"),
    ("return ('f(a(b)c)d'):match('%b()')", "(a(b)c)"),
    (
        "return {('x'):byte(), string.char(72, 105), ('abc'):sub(-2), ('abc'):sub(2, 10), ('abc'):upper(), ('abc'):reverse()}",
        "{120,Hi,bc,bc,ABC,cba}",
    ),
    (
        "return string.format('%5d|%-5s|%05.1f|%x|%q|%%|%g|%e', 42, 'ab', 3.14159, 255, 'a\"b', 0.1, 12345.678)",
        "   42|ab   |003.1|ff|\"a\\\"b\"|%|0.1|1.234568e+04",
    ),
    (
        "return string.format('%.3s|%c|%+d|%i', 'abcdef', 65, 7, -3.9)",
        "abc|A|+7|-3",
    ),
    ("local t = {3, 1, 2} table.sort(t) return t", "{1,2,3}"),
    (
        "local t = {3, 1, 2} table.sort(t, function(a, b) return a > b end) return t",
        "{3,2,1}",
    ),
    (
        "local t = {1, 3} table.insert(t, 2, 2) table.insert(t, 4) return {table.concat(t, ','), table.remove(t, 1), table.remove(t), #t}",
        "{1,2,3,4,1,4,2}",
    ),
    ("return {unpack({1, 2, 3}, 2)}", "{2,3}"),
    (
        "return {select(-1, 1, 2, 3), select(2, 'a', 'b', 'c')}",
        "{3,b,c}",
    ),
    (
        "return {tonumber('0x10'), tonumber('z', 36), tonumber('8', 8), tonumber(' 5 '), tonumber('x'), tonumber({})}",
        "{16,35,nil,5}",
    ),
    (
        "local t = {} for k, v in pairs({1, 2, c = 3, a = 4, b = 5}) do t[#t + 1] = k end return t",
        "{1,2,c,a,b}",
    ),
    (
        "local s = 0 for i, v in ipairs({1, 2, nil, 4}) do s = s + v end return s",
        "3",
    ),
    (
        "return {math.floor(-1.5), math.ceil(1.2), math.max(1, 5, 3), math.min(4, 2), math.fmod(-7, 3), math.abs(-1), math.huge}",
        "{-2,2,5,2,-1,1,inf}",
    ),
    (
        "return {bit.band(12, 10), bit.bor(12, 10), bit.bxor(12, 10), bit.lshift(1, 31), bit.rshift(-1, 28), bit.tohex(255), bit.bnot(0)}",
        "{8,14,6,-2147483648,15,000000ff,-1}",
    ),
    (
        "return {pcall(error, 'x'), pcall(function() error({code = 5}) end)}",
        "{false,false,{}}",
    ),
    (
        "return {pcall(function() error('here') end)}",
        "{false,user_script:1: here}",
    ),
    (
        "return {pcall(function() error('there', 0) end)}",
        "{false,there}",
    ),
    (
        "return select(2, xpcall(function() error('a', 0) end, function(e) return e .. '!' end))",
        "a!",
    ),
    (
        "return cjson.encode({a = {1, 2, {b = cjson.null}}, s = 'x\"/\\n', e = {}})",
        r#"{"a":[1,2,{"b":null}],"s":"x\"\/\n","e":{}}"#,
    ),
    (
        "local t = cjson.decode('{\"a\":[1,2.5,{\"b\":null}],\"c\":\"\\\\u00e4\\\\ud83d\\\\ude00\"}') return {t.a[2], t.a[3].b == cjson.null, t.c}",
        "{2.5,true,ä😀}",
    ),
    ("return {[1] = 'a', [2] = 'b', [3] = 'c', 'd'}", "{d,b,c}"),
    (
        "return redis.sha1hex('')",
        "da39a3ee5e6b4b0d3255bfef95601890afd80709",
    ),
    (
        "return redis.error_reply('My Err').err .. redis.error_reply('Err').err .. redis.status_reply('Fine').ok",
        "My ErrERR ErrFine",
    ),
    (
        "return {redis.pcall('x').err, pcall(redis.call, 'x')}",
        "{ERR no command,false,ERR no command}",
    ),
];

/// What errors say.
const ERRORS: &[(&str, &str)] = &[
    (
        "x = 1",
        "error: user_script:1: Attempt to modify a readonly table",
    ),
    (
        "\nreturn x",
        "error: user_script:2: Script attempted to access nonexistent global variable 'x'",
    ),
    (
        "local t\nlocal y = 1 +\n t",
        "error: user_script:2: attempt to perform arithmetic on local 't' (a nil value)",
    ),
    (
        "local t = {} return t.a.b",
        "error: user_script:1: attempt to index field 'a' (a nil value)",
    ),
    (
        "local t = {} t.f()",
        "error: user_script:1: attempt to call field 'f' (a nil value)",
    ),
    (
        "local t = {} t:f()",
        "error: user_script:1: attempt to call method 'f' (a nil value)",
    ),
    (
        "return 1 < 'x'",
        "error: user_script:1: attempt to compare number with string",
    ),
    (
        "return {} .. 'x'",
        "error: user_script:1: attempt to concatenate a table value",
    ),
    (
        "return #nil",
        "error: user_script:1: attempt to get length of a nil value",
    ),
    (
        "local t = {} t[nil] = 1",
        "error: user_script:1: table index is nil",
    ),
    (
        "local t = {} t[0 / 0] = 1",
        "error: user_script:1: table index is NaN",
    ),
    (
        "return ('x'):rep({})",
        "error: user_script:1: bad argument #1 to 'rep' (number expected, got table)",
    ),
    (
        "return ipairs()",
        "error: user_script:1: bad argument #1 to 'ipairs' (table expected, got no value)",
    ),
    ("error({err = 'E'})", "error: {}"),
    (
        "string.x = 1",
        "error: user_script:1: Attempt to modify a readonly table",
    ),
    ("rawset(_G, 'x', 1)", "error: Attempt to modify a readonly table"),
    (
        "setmetatable(_G, {})",
        "error: Attempt to modify a readonly table",
    ),
    (
        "table.insert(table, 1)",
        "error: Attempt to modify a readonly table",
    ),
    ("if x", "line 1: 'then' expected near '<eof>'"),
    ("for i = 1 do end", "line 1: ',' expected near 'do'"),
    ("local x = 'abc", "line 1: unfinished string near '<eof>'"),
    ("local x = 'abc\n'", "line 2: unfinished string near ''abc'"),
    ("return 3x", "line 1: malformed number near '3x'"),
    ("\n\nfoo bar", "line 3: '=' expected near 'bar'"),
    ("break", "line 1: no loop to break near '<eof>'"),
    (
        "function f() return ... end",
        "line 1: cannot use '...' outside a vararg function near '...'",
    ),
    ("return @", "line 1: unexpected symbol near '@'"),
    (
        "if true then\n\n",
        "line 3: 'end' expected (to close 'if' at line 1) near '<eof>'",
    ),
];

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
