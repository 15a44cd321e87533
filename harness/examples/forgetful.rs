//! A key-value server for "Test your own system in an afternoon": it keeps its values in a file, and loses writes when it is killed.
//!
//! `forgetful ADDRESS FILE` answers `PING`, `GET key` and `SET key value` of the Redis protocol. The mistake: `SET` is answered
//! at once, and the file is written once a second. `forgetful ADDRESS FILE careful` writes it before it answers.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::{env, fs, thread};

type Values = Mutex<BTreeMap<String, String>>;

struct Server {
    values: Values,
    file: PathBuf,
    is_careful: bool,
}

fn main() -> io::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (Some(address), Some(file)) = (arguments.first(), arguments.get(1)) else {
        // Also the answer to --version.
        println!("forgetful 1.0: forgetful ADDRESS FILE [careful]");
        return Ok(());
    };
    let server = Arc::new(Server {
        values: Mutex::new(load(Path::new(file))?),
        file: file.into(),
        is_careful: arguments.get(2).is_some_and(|word| word == "careful"),
    });
    let listener = TcpListener::bind(address)?;
    let saved = Arc::clone(&server);
    thread::spawn(move || save_every_second(&saved));
    for stream in listener.incoming() {
        let (stream, server) = (stream?, Arc::clone(&server));
        thread::spawn(move || serve(&stream, &server));
    }
    Ok(())
}

fn load(file: &Path) -> io::Result<BTreeMap<String, String>> {
    if !file.exists() {
        return Ok(BTreeMap::new());
    }
    let text = fs::read_to_string(file)?;
    let pairs = text.lines().filter_map(|line| line.split_once(' '));
    Ok(pairs
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect())
}

fn save_every_second(server: &Server) {
    loop {
        #[allow(clippy::disallowed_methods, reason = "the mistake that is to be found")]
        thread::sleep(Duration::from_secs(1));
        let values = server.values.lock().unwrap_or_else(PoisonError::into_inner);
        save(&values, &server.file);
    }
}

/// The old file or the new one, never a part of one.
fn save(values: &BTreeMap<String, String>, file: &Path) {
    let text: String = values
        .iter()
        .map(|(key, value)| format!("{key} {value}\n"))
        .collect();
    let fresh = file.with_extension("new");
    if let Err(error) = fs::write(&fresh, text).and_then(|()| fs::rename(&fresh, file)) {
        eprintln!("{}: {error}", file.display());
    }
}

/// Answers one client until it leaves.
fn serve(stream: &TcpStream, server: &Server) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut reader, mut writer) = (BufReader::new(stream), stream);
    while let Some(words) = read_command(&mut reader)? {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let mut values = server.values.lock().unwrap_or_else(PoisonError::into_inner);
        let reply = match words.as_slice() {
            ["PING"] => "+PONG\r\n".to_owned(),
            ["GET", key] => match values.get(*key) {
                Some(value) => format!("${}\r\n{value}\r\n", value.len()),
                None => "$-1\r\n".to_owned(),
            },
            ["SET", key, value] => {
                values.insert((*key).to_owned(), (*value).to_owned());
                if server.is_careful {
                    save(&values, &server.file);
                }
                "+OK\r\n".to_owned()
            }
            _ => "-ERR unknown command\r\n".to_owned(),
        };
        drop(values);
        writer.write_all(reply.as_bytes())?;
    }
    Ok(())
}

/// A command: `*2`, then for each word `$3` and the word, a line each.
fn read_command(reader: &mut impl BufRead) -> io::Result<Option<Vec<String>>> {
    let Some(count) = read_line(reader)? else {
        return Ok(None);
    };
    let count: usize = count.trim_start_matches('*').parse().map_err(io::Error::other)?;
    let mut words = Vec::new();
    for _ in 0..count {
        let length = read_line(reader)?;
        let word = read_line(reader)?;
        match (length, word) {
            (Some(_), Some(word)) => words.push(word),
            (_, _) => return Ok(None),
        }
    }
    Ok(Some(words))
}

fn read_line(reader: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = String::new();
    let read = reader.read_line(&mut line)?;
    Ok((read > 0).then(|| line.trim_end().to_owned()))
}
