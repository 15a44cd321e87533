//! The language and its libraries, as the manual and Redis have them.

use super::check;

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
