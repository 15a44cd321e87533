//! The histories, small enough to be judged by eye.

use crate::verdicts::{INVALID, UNKNOWN, UNREADABLE, VALID};

/// A file, how it is checked, and what is right.
pub(crate) struct Case {
    /// Name of the file.
    pub(crate) name: &'static str,
    /// What is given to `harness check` behind it.
    pub(crate) arguments: &'static [&'static str],
    /// Exit code.
    pub(crate) code: i32,
    /// What the answer has to contain.
    pub(crate) says: &'static str,
    /// The content.
    pub(crate) text: &'static [u8],
}

const fn case(
    name: &'static str,
    arguments: &'static [&'static str],
    code: i32,
    says: &'static str,
    text: &'static [u8],
) -> Case {
    Case {
        name,
        arguments,
        code,
        says,
        text,
    }
}

/// Two operations of two processes, one after the other: `f => value` as called and returned, then `f => called, returned`.
macro_rules! two {
    ($f:literal => $value:literal, $g:literal => $called:literal, $returned:literal) => {
        concat!(
            "{:process 0 :type :invoke :f :",
            $f,
            " :value ",
            $value,
            "}\n",
            "{:process 0 :type :ok :f :",
            $f,
            " :value ",
            $value,
            "}\n",
            "{:process 1 :type :invoke :f :",
            $g,
            " :value ",
            $called,
            "}\n",
            "{:process 1 :type :ok :f :",
            $g,
            " :value ",
            $returned,
            "}\n",
        )
        .as_bytes()
    };
}

/// All of them.
pub(crate) const CASES: &[Case] = &[
    case("stale.edn", &[], INVALID, "stale", br#"{:process 0 :type :invoke :f :write :value 1}
{:process 0 :type :ok :f :write :value 1}
{:process 0 :type :invoke :f :write :value 2}
{:process 0 :type :ok :f :write :value 2}
{:process 1 :type :invoke :f :read :value nil}
{:process 1 :type :ok :f :read :value 1}
"#),
    case("map-order.edn", &[], VALID, "2 of 2 operations used", two!("write" => r#"{:x 3 "y" #{4 5}}"#, "read" => "nil", r#"{"y" #{5 4} :x 3}"#)),
    case("big-n.edn", &[], VALID, "2 of 2", two!("write" => "77777777777777777777777", "read" => "nil", "77777777777777777777777N")),
    case("list-is-vector.edn", &[], VALID, "2 of 2", two!("write" => "(1 (2))", "read" => "nil", "[1 [2]]")),
    case("decimal.edn", &[], VALID, "2 of 2", two!("write" => "2.50M", "read" => "nil", "2.5M")),
    case("float-is-not-int.edn", &[], INVALID, "no operation wrote", two!("write" => "3", "read" => "nil", "3.0")),
    case("decimal-is-not-float.edn", &[], INVALID, "no operation wrote", two!("write" => "2.5M", "read" => "nil", "2.5")),
    case("keyword-is-not-text.edn", &[], INVALID, "no operation wrote", two!("write" => ":k", "read" => "nil", r#"":k""#)),
    case("symbol-is-not-text.edn", &[], INVALID, "no operation wrote", two!("write" => "k", "read" => "nil", r#""k""#)),
    case("character.edn", &[], INVALID, "no operation wrote", two!("write" => r#"\k"#, "read" => "nil", r#""k""#)),
    case("set-is-not-vector.edn", &[], INVALID, "no operation wrote", two!("write" => "#{7}", "read" => "nil", "[7]")),
    case("tag-counts.edn", &[], INVALID, "no operation wrote", two!("write" => r#"#inst "2021-05-05""#, "read" => "nil", r#""2021-05-05""#)),
    case("text-of-map.edn", &[], INVALID, "no operation wrote", two!("write" => "{:a 1}", "read" => "nil", r#""{:a 1}""#)),
    case("nan.edn", &[], UNKNOWN, "cannot be compared", two!("write" => "##NaN", "read" => "nil", "##NaN")),
    case("nan-inside.edn", &[], UNKNOWN, "cannot be compared", two!("write" => "8", "read" => "nil", "[##NaN]")),
    case("infinity.edn", &[], VALID, "2 of 2", two!("write" => "##Inf", "read" => "nil", "##Inf")),
    case("ratio.edn", &[], UNKNOWN, "cannot be compared", two!("write" => "1/2", "read" => "nil", "2/4")),
    case("element-twice.edn", &[], UNKNOWN, "cannot be compared", two!("write" => "#{1 1}", "read" => "nil", "#{1}")),
    case("deep.edn", &[], UNKNOWN, "cannot be compared", two!("write" => "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]", "read" => "nil", "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]")),
    case("json-numbers.jsonl", &[], VALID, "2 of 2", br#"{"process":0,"type":"invoke","f":"write","value":{"a":1e2,"b":[null]}}
{"process":0,"type":"ok","f":"write","value":{"a":100.0,"b":[null]}}
{"process":1,"type":"invoke","f":"read","value":null}
{"process":1,"type":"ok","f":"read","value":{"b":[null],"a":1.0e2}}
"#),
    case("json-text-is-no-number.jsonl", &[], INVALID, "no operation wrote", br#"{"process":0,"type":"invoke","f":"write","value":9}
{"process":0,"type":"ok","f":"write","value":9}
{"process":1,"type":"invoke","f":"read"}
{"process":1,"type":"ok","f":"read","value":"9"}
"#),
    case("purge.edn", &[], UNKNOWN, "1 purge (not an operation of this model)", br#"{:process 0 :type :invoke :f :write :value 1}
{:process 0 :type :ok :f :write :value 1}
{:process 0 :type :invoke :f :purge :value nil}
{:process 0 :type :ok :f :purge :value nil}
{:process 1 :type :invoke :f :read :value nil}
{:process 1 :type :ok :f :read :value nil}
"#),
    case("purge-of-another-key.edn", &[], INVALID, "stale", br#"{:process 0 :type :invoke :f :write :value 1 :key :a}
{:process 0 :type :ok :f :write :value 1 :key :a}
{:process 0 :type :invoke :f :write :value 2 :key :a}
{:process 0 :type :ok :f :write :value 2 :key :a}
{:process 0 :type :invoke :f :purge :value nil :key :b}
{:process 0 :type :ok :f :purge :value nil :key :b}
{:process 1 :type :invoke :f :read :value nil :key :a}
{:process 1 :type :ok :f :read :value 1 :key :a}
"#),
    case("purge-afterwards.edn", &[], INVALID, "stale", br#"{:process 0 :type :invoke :f :write :value 1}
{:process 0 :type :ok :f :write :value 1}
{:process 0 :type :invoke :f :write :value 2}
{:process 0 :type :ok :f :write :value 2}
{:process 1 :type :invoke :f :read :value nil}
{:process 1 :type :ok :f :read :value 1}
{:process 0 :type :invoke :f :purge :value nil}
{:process 0 :type :ok :f :purge :value nil}
"#),
    case("purge-failed.edn", &[], VALID, "1 purge (failed)", br#"{:process 0 :type :invoke :f :write :value 1}
{:process 0 :type :ok :f :write :value 1}
{:process 0 :type :invoke :f :purge}
{:process 0 :type :fail :f :purge}
{:process 1 :type :invoke :f :read :value nil}
{:process 1 :type :ok :f :read :value 1}
"#),
    case("purge-perhaps.edn", &[], VALID, "1 purge", br#"{:process 0 :type :invoke :f :write :value 1}
{:process 0 :type :ok :f :write :value 1}
{:process 0 :type :invoke :f :purge}
{:process 0 :type :info :f :purge}
{:process 1 :type :invoke :f :read :value nil}
{:process 1 :type :ok :f :read :value 1}
"#),
    case("purge-explains.edn", &[], UNKNOWN, "may have changed", br#"{:process 0 :type :invoke :f :write :value 1}
{:process 0 :type :ok :f :write :value 1}
{:process 0 :type :invoke :f :purge}
{:process 0 :type :info :f :purge}
{:process 1 :type :invoke :f :read :value nil}
{:process 1 :type :ok :f :read :value nil}
"#),
    case("named-client.edn", &[], INVALID, "stale", br#"{:process :loader :type :invoke :f :write :value 1}
{:process :loader :type :ok :f :write :value 1}
{:process :loader :type :invoke :f :write :value 2}
{:process :loader :type :ok :f :write :value 2}
{:process 1 :type :invoke :f :read :value nil}
{:process 1 :type :ok :f :read :value 1}
"#),
    case("named-notes.edn", &[], VALID, "2 of 2", br#"{:process :logger :type :info :f :note :value "hello"}
{:process 0 :type :invoke :f :write :value 1}
{:process 0 :type :ok :f :write :value 1}
{:process :logger :type :info :f :note :value "bye"}
{:process 1 :type :invoke :f :read :value nil}
{:process 1 :type :ok :f :read :value 1}
"#),
    case("no-process.edn", &[], VALID, "2 of 2", br#"{:type :invoke :f :write :value 4}
{:type :ok :f :write :value 4}
{:type :invoke :f :read}
{:type :ok :f :read :value 4}
"#),
    case("process-of-some.edn", &[], UNREADABLE, "expected a process, as other operations have one", br#"{:process 0 :type :invoke :f :write :value 4}
{:process 0 :type :ok :f :write :value 4}
{:type :invoke :f :read}
"#),
    case("other-function.edn", &[], UNKNOWN, "its completion contradicts its invocation", br#"{:process 0 :type :invoke :f :write :value 4}
{:process 0 :type :ok :f :read :value 4}
{:process 1 :type :invoke :f :read :value nil}
{:process 1 :type :ok :f :read :value 4}
"#),
    case("other-key.edn", &[], UNKNOWN, "its completion contradicts its invocation", br#"{:process 0 :type :invoke :f :write :value 4 :key 1}
{:process 0 :type :ok :f :write :value 4 :key 2}
{:process 1 :type :invoke :f :read :value nil :key 2}
{:process 1 :type :ok :f :read :value 4 :key 2}
"#),
    case("last-word.edn", &[], VALID, "2 of 2", br#"{:process 0 :type :invoke :f :write :value 4}
{:process 0 :type :ok :f :write :value 5}
{:process 1 :type :invoke :f :read :value nil}
{:process 1 :type :ok :f :read :value 5}
"#),
    case("last-word-stale.edn", &[], INVALID, "no operation wrote", br#"{:process 0 :type :invoke :f :write :value 4}
{:process 0 :type :ok :f :write :value 5}
{:process 1 :type :invoke :f :read :value nil}
{:process 1 :type :ok :f :read :value 4}
"#),
    case("value-never-known.edn", &[], UNKNOWN, "may have changed", br#"{:process 0 :type :invoke :f :write :value nil}
{:process 0 :type :info :f :write :value nil}
{:process 1 :type :invoke :f :read :value nil}
{:process 1 :type :ok :f :read :value 3}
"#),
    case("no-value.edn", &[], UNKNOWN, "1 write (no value)", br#"{:process 0 :type :invoke :f :write}
{:process 0 :type :ok :f :write}
{:process 1 :type :invoke :f :read :value nil}
{:process 1 :type :ok :f :read :value nil}
"#),
    case("read-of-nothing.edn", &[], UNKNOWN, "1 read (no value)", br#"{:process 0 :type :invoke :f :write :value 1}
{:process 0 :type :ok :f :write :value 1}
{:process 1 :type :invoke :f :read}
{:process 1 :type :ok :f :read}
"#),
    case("cas-of-one.edn", &[], UNKNOWN, "no [expected new] pair", br#"{:process 0 :type :invoke :f :write :value 1}
{:process 0 :type :ok :f :write :value 1}
{:process 1 :type :invoke :f :cas :value 2}
{:process 1 :type :ok :f :cas :value 2}
{:process 1 :type :invoke :f :read :value nil}
{:process 1 :type :ok :f :read :value 2}
"#),
    case("index-backwards.edn", &[], UNKNOWN, "the order of events is not known", br#"{:process 0 :type :invoke :f :write :value 1 :index 0}
{:process 0 :type :ok :f :write :value 1 :index 5}
{:process 1 :type :invoke :f :read :value nil :index 2}
{:process 1 :type :ok :f :read :value nil :index 3}
"#),
    case("index-twice.edn", &[], UNKNOWN, "the order of events is not known", br#"{:process 0 :type :invoke :f :write :value 1 :index 0}
{:process 0 :type :ok :f :write :value 1 :index 0}
"#),
    case("index-with-gaps.edn", &[], VALID, "1 of 1", br#"{:process 0 :type :invoke :f :write :value 1 :index 10}
{:process 0 :type :ok :f :write :value 1 :index 20}
"#),
    case("unknown-only.edn", &[], UNKNOWN, "no operation has a known outcome", br#"{:process 0 :type :invoke :f :cas :value [0 1]}
{:process 0 :type :info :f :cas :value [0 1]}
"#),
    case("nothing.edn", &["--model", "register"], UNKNOWN, "", br#"[]
"#),
    case("keyed.edn", &[], INVALID, "key :k", br#"{:process 0 :type :invoke :f :write :value [:k 1]}
{:process 0 :type :ok :f :write :value [:k 1]}
{:process 0 :type :invoke :f :write :value [:k 2]}
{:process 0 :type :ok :f :write :value [:k 2]}
{:process 1 :type :invoke :f :read :value [:k nil]}
{:process 1 :type :ok :f :read :value [:k 1]}
"#),
    case("keyed-apart.edn", &[], VALID, "2 of 2", two!("write" => "[:k 1]", "read" => "[:j nil]", "[:j nil]")),
    case("keyed-by-order.edn", &["--independent", "yes"], VALID, "2 of 2", two!("write" => "[:k 1]", "read" => "[:j nil]", "[:j nil]")),
    case("not-keyed-by-order.edn", &["--independent", "no"], INVALID, "no operation wrote", two!("write" => "[:k 1]", "read" => "[:j nil]", "[:j nil]")),
    case("keyed-by-some.edn", &[], UNKNOWN, "--independent yes or no", br#"{:process 0 :type :invoke :f :write :value [:k 1]}
{:process 0 :type :ok :f :write :value [:k 1]}
{:process 0 :type :invoke :f :write :value [:k 2]}
{:process 0 :type :ok :f :write :value [:k 2]}
{:process 0 :type :invoke :f :write :value 7}
{:process 0 :type :ok :f :write :value 7}
{:process 1 :type :invoke :f :read :value [:k nil]}
{:process 1 :type :ok :f :read :value [:k 1]}
"#),
    case("keyed-by-some-after-all.edn", &["--independent", "yes"], UNKNOWN, "no [key value] pair", br#"{:process 0 :type :invoke :f :write :value [:k 1]}
{:process 0 :type :ok :f :write :value [:k 1]}
{:process 0 :type :invoke :f :write :value [:k 2]}
{:process 0 :type :ok :f :write :value [:k 2]}
{:process 0 :type :invoke :f :write :value 7}
{:process 0 :type :ok :f :write :value 7}
{:process 1 :type :invoke :f :read :value [:k nil]}
{:process 1 :type :ok :f :read :value [:k 1]}
"#),
    case("points.edn", &[], INVALID, "stale", br#"{:process 0 :type :invoke :f :write :value [3 1]}
{:process 0 :type :ok :f :write :value [3 1]}
{:process 0 :type :invoke :f :write :value [3 2]}
{:process 0 :type :ok :f :write :value [3 2]}
{:process 1 :type :invoke :f :read :value nil}
{:process 1 :type :ok :f :read :value [3 1]}
"#),
    case("keyed-set.edn", &["--model", "set"], INVALID, "lost", two!("add" => "[1 5]", "read" => "[1 nil]", "[1 #{}]")),
    case("keyed-counter.edn", &["--model", "counter"], INVALID, "more than was added", two!("add" => r#"["a" 5]"#, "read" => r#"["b" nil]"#, r#"["b" 5]"#)),
    case("keyed-transactions.edn", &["--model", "list-append", "--independent", "yes"], INVALID, "list [:p :x]", br#"{:process 0 :type :invoke :f :txn :value [:p [[:append :x 1]]]}
{:process 0 :type :ok :f :txn :value [:p [[:append :x 1]]]}
{:process 0 :type :invoke :f :txn :value [:q [[:append :x 1]]]}
{:process 0 :type :ok :f :txn :value [:q [[:append :x 1]]]}
{:process 1 :type :invoke :f :txn :value [:p [[:r :x nil]]]}
{:process 1 :type :ok :f :txn :value [:p [[:r :x [2]]]]}
"#),
    case("initial-zero.edn", &["--initial", "0"], VALID, "1 of 1", br#"{:process 1 :type :invoke :f :read :value nil}
{:process 1 :type :ok :f :read :value 0}
"#),
    case("initial-zero-is-not-nil.edn", &[], INVALID, "no operation wrote", br#"{:process 1 :type :invoke :f :read :value nil}
{:process 1 :type :ok :f :read :value 0}
"#),
    case("initial-nil-read.edn", &["--initial", "0"], VALID, "1 read (nil, taken as not read", br#"{:process 0 :type :invoke :f :write :value 1}
{:process 0 :type :ok :f :write :value 1}
{:process 1 :type :invoke :f :read :value nil}
{:process 1 :type :ok :f :read :value nil}
{:process 1 :type :invoke :f :read :value nil}
{:process 1 :type :ok :f :read :value 1}
"#),
    case("initial-nil-read-counts.edn", &["--initial", "0", "--nil-reads", "value"], INVALID, "no operation wrote", two!("write" => "1", "read" => "nil", "nil")),
    case("nil-read-is-nothing.edn", &["--nil-reads", "unknown"], VALID, "1 read (nil, taken as not read", two!("write" => "1", "read" => "nil", "nil")),
    case("nil-read-is-stale.edn", &[], INVALID, "initial value", two!("write" => "1", "read" => "nil", "nil")),
    case("initial-counter.edn", &["--initial", "10"], VALID, "2 of 2", two!("add" => "2", "read" => "nil", "12")),
    case("initial-set.edn", &["--initial", "#{1}", "--model", "set"], INVALID, "disappeared", two!("add" => "2", "read" => "nil", "#{2}")),
    case("initial-set-kept.edn", &["--initial", "[1]", "--model", "set"], VALID, "2 of 2", two!("add" => "2", "read" => "nil", "[2 1]")),
    case("initial-lists.edn", &["--initial", "[1]"], VALID, "2 of 2", two!("txn" => "[[:append :x 2]]", "txn" => "[[:r :x nil]]", "[[:r :x [1 2]]]")),
    case("initial-lists-lost.edn", &["--initial", "[1]"], INVALID, "initial elements", two!("txn" => "[[:append :x 2]]", "txn" => "[[:r :x nil]]", "[[:r :x [2]]]")),
    case("initial-registers.edn", &["--model", "rw-register"], INVALID, "", br#"{:process 0 :type :invoke :f :txn :value [[:r :x nil]]}
{:process 0 :type :ok :f :txn :value [[:r :x 0]]}
{:process 0 :type :invoke :f :txn :value [[:w :x 1]]}
{:process 0 :type :ok :f :txn :value [[:w :x 1]]}
"#),
    case("initial-bank.edn", &["--model", "bank", "--initial", "{:a 10 :b 0}"], INVALID, "total is 9", br#"{:process 0 :type :invoke :f :read :value nil}
{:process 0 :type :ok :f :read :value {:a 4 :b 5}}
"#),
    case("initial-lock.edn", &["--initial", "7"], INVALID, "two holders", br#"{:process 0 :type :invoke :f :acquire :value nil}
{:process 0 :type :ok :f :acquire :value 8}
"#),
    case("initial-lock-released.edn", &["--initial", "7"], VALID, "2 of 2", br#"{:process 0 :type :invoke :f :release :value 7}
{:process 0 :type :ok :f :release :value 7}
{:process 0 :type :invoke :f :acquire :value nil}
{:process 0 :type :ok :f :acquire :value 8}
"#),
    case("initial-key-value.edn", &["--initial", "\"a\"", "--model", "kv"], INVALID, "", br#"{:process 0 :type :invoke :f :get :value nil :key 1}
{:process 0 :type :ok :f :get :value "b" :key 1}
"#),
    case("initial-of-no-counter.edn", &["--initial", "\"x\"", "--model", "counter"], UNKNOWN, "the initial value of a counter is a number", br#"{:process 0 :type :invoke :f :add :value 2}
{:process 0 :type :ok :f :add :value 2}
"#),
    case("counter-text.edn", &["--model", "counter"], UNKNOWN, "1 read (no integer", two!("add" => "2", "read" => "nil", r#""2""#)),
    case("counter-far.edn", &["--model", "counter"], INVALID, "more than was added", two!("add" => "36893488147419103232", "read" => "nil", "36893488147419103233")),
    case("counter-far-right.edn", &["--model", "counter"], VALID, "2 of 2", two!("add" => "36893488147419103232", "read" => "nil", "36893488147419103232N")),
    case("counter-too-far.edn", &["--model", "counter"], UNKNOWN, "no integer", two!("add" => "10000000000000000000000000000000000000000", "read" => "nil", "10000000000000000000000000000000000000000")),
    case("set-scalar.edn", &["--model", "set"], UNKNOWN, "1 read (no set or list", two!("add" => "2", "read" => "nil", "2")),
    case("set-of-sets.edn", &["--model", "set"], VALID, "2 of 2", two!("add" => "#{1 2}", "read" => "nil", "#{#{2 1}}")),
    case("lock-without-token.edn", &[], UNKNOWN, "no fencing token", two!("acquire" => "nil", "acquire" => "nil", "nil")),
    case("bank-nil-balance.edn", &["--model", "bank"], UNKNOWN, "no map from account to balance", br#"{:process 0 :type :invoke :f :read :value nil}
{:process 0 :type :ok :f :read :value {:a 10 :b nil}}
"#),
    case("append-to-scalar.edn", &["--model", "list-append"], UNKNOWN, "not only appends", br#"{:process 0 :type :invoke :f :txn :value [[:r 4 nil]]}
{:process 0 :type :ok :f :txn :value [[:r 4 9]]}
"#),
    case("composite-cells.edn", &[], INVALID, "stale", two!("txn" => "[[:append {:t 1 :r 2} [7 7]]]", "txn" => "[[:r {:r 2 :t 1} nil]]", "[[:r {:t 1 :r 2} []]]")),
    case("composite-cells-seen.edn", &[], VALID, "2 of 2", two!("txn" => "[[:append {:t 1 :r 2} [7 7]]]", "txn" => "[[:r {:r 2 :t 1} nil]]", "[[:r {:t 1 :r 2} [(7 7)]]]")),
    case("txn-without-result.edn", &[], UNKNOWN, "no list of", br#"{:process 0 :type :invoke :f :txn :value [[:r :x nil]]}
{:process 0 :type :ok :f :txn}
"#),
    case("txn-by-another-name.edn", &[], INVALID, "", two!("load" => "[[:append :x 1]]", "peek" => "[[:r :x nil]]", "[[:r :x [3]]]")),
    case("kv-numbers.edn", &[], INVALID, "fit", br#"{:process 0 :type :invoke :f :put :value 1 :key 0}
{:process 0 :type :ok :f :put :value 1 :key 0}
{:process 0 :type :invoke :f :put :value 2 :key 0}
{:process 0 :type :ok :f :put :value 2 :key 0}
{:process 0 :type :invoke :f :get :value nil :key 0}
{:process 0 :type :ok :f :get :value 1 :key 0}
"#),
    case("kv-absent.edn", &[], VALID, "3 of 3", br#"{:process 0 :type :invoke :f :get :value nil :key 0}
{:process 0 :type :ok :f :get :value nil :key 0}
{:process 0 :type :invoke :f :append :value "a" :key 0}
{:process 0 :type :ok :f :append :value "a" :key 0}
{:process 0 :type :invoke :f :get :value nil :key 0}
{:process 0 :type :ok :f :get :value "a" :key 0}
"#),
    case("kv-append-to-number.edn", &[], UNKNOWN, "in a history that appends", br#"{:process 0 :type :invoke :f :put :value 1 :key 0}
{:process 0 :type :ok :f :put :value 1 :key 0}
{:process 0 :type :invoke :f :append :value "a" :key 0}
{:process 0 :type :ok :f :append :value "a" :key 0}
"#),
    case("bom-and-crlf.edn", &[], VALID, "2 of 2", b"\xef\xbb\xbf{:process 0 :type :invoke :f :write :value 1}\r\n{:process 0 :type :ok :f :write :value 1}\r\n{:process 1 :type :invoke :f :read :value nil}\r\n{:process 1 :type :ok :f :read :value 1}\r\n"),
    case("skipped-fields.edn", &[], INVALID, "no operation wrote", two!("write" => r#"1 :a \" :b [\) #{\}}] :c ##-Inf :d #"[" :e #foo/bar {:x \newline}"#, "read" => "nil", "2")),
    case("pretty.json", &[], INVALID, "no operation wrote", br#"[ 
 {
  "type" : "invoke",
 "process": 0, "f": "write", "value": 1},
 {"type": "ok", "process": 0,
 "f": "write", "value": 1},
{"type": "invoke", "process": 0, "f": "read"},
 {"type": "ok", "process": 0, "f": "read", "value": 5}
]
"#),
    case("text.txt", &[], INVALID, "no operation wrote", b"0\t:invoke\t:write\t1\n:nemesis\t:info\t:kill\t[\"n1\"]\n0\t:ok\t:write\t1\n0\t:invoke\t:read\tnil\n0\t:ok\t:read\t8\n1\t:invoke\t:cas\t[1 2]\n1\t:fail\t:cas\t[1 2]\t{:reason \"mismatch\"}\n"),
    case("jepsen.log", &[], INVALID, "no operation wrote", b"2024-01-01 00:00:00,000{GMT}\tINFO\t[main] jepsen.cli: Test options:\n {:a 1}\nINFO [2024-01-01 00:00:01,000] jepsen worker 3 - jepsen.util 3\t:invoke\t:write\t7\nINFO [2024-01-01 00:00:01,001] jepsen worker 3 - jepsen.util 3\t:ok\t:write\t7\njava.lang.RuntimeException: no\n\tat jepsen.util$retry.invoke(util.clj:1)\n  {:type :exit}\nINFO [2024-01-01 00:00:02,000] jepsen worker 3 - jepsen.util 3\t:invoke\t:read\tnil\nINFO [2024-01-01 00:00:02,000] jepsen worker 3 - jepsen.util 3\t:ok\t:read\t6\n"),
    case("cas-with-a-reason.log", &[], VALID, "2 of 3", b"INFO  jepsen.util - 0\t:invoke\t:write\t1\nINFO  jepsen.util - 0\t:ok\t:write\t1\nINFO  jepsen.util - 0\t:invoke\t:cas\t[1 2]\nINFO  jepsen.util - 0\t:fail\t:cas\t[1 2]\t:connection-refused\nINFO  jepsen.util - 0\t:invoke\t:read\tnil\nINFO  jepsen.util - 0\t:ok\t:read\t1\n"),
    case("mixed.edn", &[], UNREADABLE, "expected a value, found", br#"{:process 0 :type :invoke :f :write :value 1}
{:process 0 :type :ok :f :write :value 1}
{"process": 0, "type": "invoke", "f": "read"}
"#),
    case("cut-vector.edn", &[], UNREADABLE, "expected ']' before the end of the file", br#"[{:process 0 :type :invoke :f :write :value 1}
{:process 0 :type :ok :f :write :value 1}
"#),
    case("field-twice.edn", &[], UNREADABLE, "expected each field once", br#"{:process 0 :type :invoke :f :write :value 1 :value 2}
"#),
    case("empty.edn", &[], UNREADABLE, "expected a history", br#""#),
    case("blank.edn", &[], UNREADABLE, "expected a history", br#"
 ; nothing

"#),
    case("latin.edn", &[], VALID, "2 of 2", b"{:process 0 :type :invoke :f :write :value \"a\xe9\" :error \"\xff\"}\n{:process 0 :type :ok :f :write :value \"a\xe9\"}\n{:process 1 :type :invoke :f :read}\n{:process 1 :type :ok :f :read :value \"a\xe9\"}\n"),
    case("latin-other.edn", &[], INVALID, "no operation wrote", b"{:process 0 :type :invoke :f :write :value \"a\xe9\" :error \"\xff\"}\n{:process 0 :type :ok :f :write :value \"a\xe9\"}\n{:process 1 :type :invoke :f :read}\n{:process 1 :type :ok :f :read :value \"a\xe8\"}\n"),
    case("utf16.edn", &[], UNREADABLE, "found UTF-16", b"\xff\xfe{\x00:\x00p\x00r\x00o\x00c\x00e\x00s\x00s\x00 \x000\x00 \x00:\x00t\x00y\x00p\x00e\x00 \x00:\x00i\x00n\x00v\x00o\x00k\x00e\x00 \x00:\x00f\x00 \x00:\x00w\x00r\x00i\x00t\x00e\x00 \x00:\x00v\x00a\x00l\x00u\x00e\x00 \x001\x00}\x00\n\x00"),
    case(
        "odd-key.edn",
        &[],
        UNKNOWN,
        "1 write (its key cannot be compared)",
        br#"{:process 0 :type :invoke :f :write :value 1 :key ##NaN}
{:process 0 :type :ok :f :write :value 1 :key ##NaN}
{:process 1 :type :invoke :f :read :key 4}
{:process 1 :type :ok :f :read :value 1 :key 4}
"#,
    ),
];
