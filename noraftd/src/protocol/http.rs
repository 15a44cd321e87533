//! Recognises HTTP on a port for RESP.
//!
//! A web page can make a browser send bytes of its choice to any port, on localhost too. What comes before those
//! bytes is not its choice: the request line and the `Host` header. So a connection that says either is ended
//! there, before anything of the body is read as a command (as Redis does since 3.2.7).

use bytes::Bytes;

/// True when a command is the beginning of an HTTP request.
pub fn is_http(args: &[Bytes]) -> bool {
    let Some(name) = args.first() else { return false };
    if is_one_of(name, &["POST", "HOST:"]) {
        return true;
    }
    // `GET / HTTP/1.1`, `PUT /x HTTP/1.1`: no command of ours reads like that.
    let [_, _, version] = args else { return false };
    is_one_of(name, &METHODS)
        && version
            .get(..5)
            .is_some_and(|text| text.eq_ignore_ascii_case(b"HTTP/"))
}

fn is_one_of(name: &[u8], words: &[&str]) -> bool {
    words
        .iter()
        .any(|word| name.eq_ignore_ascii_case(word.as_bytes()))
}

/// The methods of RFC 9110, and PATCH (RFC 5789).
const METHODS: [&str; 8] = [
    "GET", "HEAD", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn reads_as_http(line: &str) -> bool {
        let words: Vec<Bytes> = line.split(' ').map(|word| Bytes::from(word.to_owned())).collect();
        is_http(&words)
    }

    #[test]
    fn what_a_browser_sends_first_is_recognised() {
        for line in [
            "POST / HTTP/1.1",
            "post /x HTTP/1.0",
            "POST",
            "Host: 127.0.0.1:7601",
            "HOST:",
            "GET / HTTP/1.1",
            "options * http/1.1",
            "PUT /a HTTP/2",
        ] {
            assert!(reads_as_http(line), "{line}");
        }
    }

    #[test]
    fn commands_are_not_taken_for_it() {
        for line in [
            "GET HTTP/1.1",
            "SET k HTTP/1.1",
            "GET k",
            "DEL a b HTTP/1.1",
            "HOSTS",
            "POSTS a",
        ] {
            assert!(!reads_as_http(line), "{line}");
        }
    }
}
