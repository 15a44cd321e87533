//! `EVAL` and its relatives, and `SCRIPT`, parsed.

use bytes::Bytes;

use super::answers::{
    NOT_AN_INTEGER, ParseResult, error, excerpt, is_word, replicated, syntax_error, wrong_arity,
};
use super::script::{Evaluation, Named, SCRIPT_BYTES_MAX, ScriptCommand};
use super::{Args, Command};
use crate::protocol::resp::Reply;
use crate::protocol::resp::number::parse_i64;

/// `EVAL text numkeys key... argument...`, and the same with a name, or for a script that only reads.
pub(super) fn eval(args: &[Bytes]) -> ParseResult {
    let [name, script, count, rest @ ..] = args else {
        return Err(syntax_error());
    };
    let by_name = name.len() >= BY_NAME.len()
        && name
            .get(..BY_NAME.len())
            .is_some_and(|name| is_word(name, BY_NAME));
    let only_reads = name.to_ascii_uppercase().ends_with(ONLY_READS.as_bytes());
    let count = parse_i64(count).ok_or_else(|| error(NOT_AN_INTEGER))?;
    if count < 0 {
        return Err(error("ERR Number of keys can't be negative"));
    }
    let split = usize::try_from(count)
        .ok()
        .and_then(|count| rest.split_at_checked(count));
    let Some((keys, arguments)) = split else {
        return Err(error("ERR Number of keys can't be greater than number of args"));
    };
    let script = match by_name {
        true => Named::Name(script),
        false => Named::Text(text(script)?),
    };
    replicated(&Command::Script(ScriptCommand::Run(Evaluation {
        script,
        only_reads,
        keys: Args::sent(keys),
        arguments: Args::sent(arguments),
    })))
}

/// `SCRIPT LOAD | EXISTS | FLUSH | KILL`
pub(super) fn script(args: &[Bytes]) -> ParseResult {
    let [_, verb, rest @ ..] = args else {
        return Err(wrong_arity("script"));
    };
    let command = if is_word(verb, "LOAD") {
        match rest {
            [script] => ScriptCommand::Load(text(script)?),
            _ => return Err(wrong_arity("script|load")),
        }
    } else if is_word(verb, "EXISTS") {
        match rest {
            [] => return Err(wrong_arity("script|exists")),
            names => ScriptCommand::Exist(Args::sent(names)),
        }
    } else if is_word(verb, "FLUSH") {
        match rest {
            [] => ScriptCommand::Flush,
            [option] if is_word(option, "SYNC") || is_word(option, "ASYNC") => ScriptCommand::Flush,
            _ => return Err(error("ERR SCRIPT FLUSH only support SYNC|ASYNC option")),
        }
    } else if is_word(verb, "KILL") && rest.is_empty() {
        return Err(error("NOTBUSY No scripts in execution right now."));
    } else {
        let verb = excerpt(verb, VERB_EXCERPT_BYTES_MAX);
        return Err(error(format!(
            "ERR unknown subcommand '{verb}'. Try SCRIPT HELP."
        )));
    };
    replicated(&Command::Script(command))
}

fn text(script: &Bytes) -> Result<&[u8], Reply> {
    match script.len() <= SCRIPT_BYTES_MAX {
        true => Ok(script),
        false => Err(error(format!(
            "ERR the script is larger than {SCRIPT_BYTES_MAX} bytes; nothing was done"
        ))),
    }
}

const BY_NAME: &str = "EVALSHA";
const ONLY_READS: &str = "_RO";
/// As much of an unknown word as the error repeats.
const VERB_EXCERPT_BYTES_MAX: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::level::Level;
    use crate::protocol::command::{Class, Parsed, Request, parse};

    fn parsed(line: &str) -> ParseResult {
        let words = line.split(' ').map(|word| Bytes::from(word.to_owned()));
        parse(words.collect())
    }

    fn request(line: &str) -> Request {
        match parsed(line) {
            Ok(Parsed::Replicated(request)) => request,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn a_command_about_scripts_is_read_as_it_was_written() {
        for (line, class, in_block) in [
            ("EVAL return 1 k a", Class::Write, true),
            ("eval_ro return 0 a b", Class::Write, true),
            ("EVALSHA 0123 2 a b", Class::Write, true),
            ("EVALSHA_RO 0123 0", Class::Write, true),
            ("SCRIPT LOAD return", Class::Write, false),
            ("SCRIPT FLUSH", Class::Write, false),
            ("SCRIPT FLUSH ASYNC", Class::Write, false),
            ("SCRIPT EXISTS a b", Class::Read, false),
        ] {
            let request = request(line);
            assert_eq!(request.class, class, "{line}");
            assert_eq!(request.takes_level(), Level::SCRIPT, "{line}");
            assert_eq!(request.may_be_in_block(), in_block, "{line}");
            let command = Command::decode(&request.body).expect(line);
            assert_eq!(command.encode(), request.body, "{line}");
            for end in 0..request.body.len() {
                assert_eq!(
                    Command::decode(&request.body[..end]),
                    None,
                    "{line}, cut at {end}"
                );
            }
        }
        let request = request("evalsha_ro s 1 k a b");
        let Some(Command::Script(ScriptCommand::Run(evaluation))) = Command::decode(&request.body) else {
            panic!("it is one")
        };
        assert_eq!(evaluation.script, Named::Name(b"s"));
        assert!(evaluation.only_reads);
        assert_eq!((evaluation.keys.len(), evaluation.arguments.len()), (1, 2));
    }

    #[test]
    fn what_is_no_command_about_scripts_is_refused() {
        for line in [
            "EVAL return",
            "EVAL return x",
            "EVAL return -1",
            "EVAL return 2 a",
            "EVALSHA a 99999999999 a",
            "SCRIPT",
            "SCRIPT NOSUCH",
            "SCRIPT LOAD",
            "SCRIPT LOAD a b",
            "SCRIPT EXISTS",
            "SCRIPT FLUSH NOW",
            "SCRIPT KILL",
        ] {
            assert!(matches!(parsed(line), Err(Reply::Error(_))), "{line}");
        }
        let long = "x".repeat(SCRIPT_BYTES_MAX + 1);
        for line in [format!("EVAL {long} 0"), format!("SCRIPT LOAD {long}")] {
            assert!(matches!(parsed(&line), Err(Reply::Error(_))));
        }
        let body = Command::Script(ScriptCommand::Load(long.as_bytes())).encode();
        assert_eq!(Command::decode(&body), None);
    }
}
