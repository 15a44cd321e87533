//! The order on one connection: does each read see every earlier write, and no later one?
//!
//! A connection appends numbers to a list of its own and reads it, without waiting for answers. Every append takes
//! effect before the next read of the connection, or never: so what a read sees is what the read before it saw, and then
//! of the appends in between those that took effect, in their order. That is exact, and linear.

/// What was said of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// It took effect.
    Done,
    /// Not known.
    Unknown,
    /// It had no effect.
    Refused,
}

/// One connection, asked in its order.
#[derive(Debug, Default)]
pub struct Session {
    /// What the last read saw.
    seen: Vec<u64>,
    /// The appends since then.
    since: Vec<(u64, Said)>,
}

impl Session {
    /// The next request appended `number`.
    pub fn wrote(&mut self, number: u64, said: Said) {
        self.since.push((number, said));
    }

    /// The next request read `list`.
    ///
    /// # Errors
    ///
    /// What the order of the connection does not allow.
    pub fn read(&mut self, list: &[u64]) -> Result<(), String> {
        let Some(fresh) = list.strip_prefix(&self.seen[..]) else {
            return Err(format!(
                "it does not begin with what the read before it saw: {} before, {} now",
                show(&self.seen),
                show(list)
            ));
        };
        let mut fresh = fresh.iter().peekable();
        for (number, said) in self.since.drain(..) {
            let is_seen = fresh.next_if(|seen| **seen == number).is_some();
            match said {
                Said::Done if !is_seen => {
                    return Err(format!(
                        "it lacks {number}, which was appended before it: {}",
                        show(list)
                    ));
                }
                Said::Refused if is_seen => {
                    return Err(format!("it has {number}, which was refused: {}", show(list)));
                }
                Said::Done | Said::Unknown | Said::Refused => {}
            }
        }
        if let Some(extra) = fresh.next() {
            return Err(format!(
                "it has {extra}, which was appended later, or out of turn: {}",
                show(list)
            ));
        }
        self.seen = list.to_vec();
        Ok(())
    }
}

/// The numbers in a value made of `12,` and `13,`; `None` for anything else.
pub fn numbers(value: &[u8]) -> Option<Vec<u64>> {
    let text = std::str::from_utf8(value).ok()?;
    text.split_terminator(',').map(|part| part.parse().ok()).collect()
}

fn show(list: &[u64]) -> String {
    let skipped = list.len().saturating_sub(SHOWN);
    let last = list.iter().skip(skipped).map(u64::to_string).collect::<Vec<_>>();
    let dots = if skipped > 0 { "... " } else { "" };
    format!("[{dots}{}]", last.join(" "))
}

/// The end of a list says enough.
const SHOWN: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    fn session(writes: &[(u64, Said)]) -> Session {
        let mut session = Session::default();
        writes
            .iter()
            .for_each(|(number, said)| session.wrote(*number, *said));
        session
    }

    #[test]
    fn a_read_sees_the_appends_before_it_in_their_order() {
        let mut session = session(&[
            (1, Said::Done),
            (2, Said::Unknown),
            (3, Said::Refused),
            (4, Said::Done),
        ]);
        assert_eq!(session.read(&[1, 4]), Ok(()));
        session.wrote(5, Said::Unknown);
        assert_eq!(session.read(&[1, 4, 5]), Ok(()));
        assert_eq!(session.read(&[1, 4, 5]), Ok(()));
        assert_eq!(Session::default().read(&[]), Ok(()));
    }

    #[test]
    fn what_the_order_does_not_allow_is_named() {
        let done = [(1, Said::Done), (2, Said::Done)];
        for (writes, list, shown) in [
            (&done[..], &[1][..], "lacks 2"),
            (&done[..], &[2, 1][..], "lacks 1"),
            (&done[..], &[1, 2, 3][..], "has 3, which was appended later"),
            (&[(1, Said::Refused)][..], &[1][..], "has 1, which was refused"),
        ] {
            let error = session(writes).read(list).expect_err("not allowed");
            assert!(error.contains(shown), "{error}");
        }
        let mut late = session(&[(1, Said::Unknown)]);
        assert_eq!(late.read(&[]), Ok(()));
        assert!(late.read(&[1]).is_err(), "before the first read, or never");
        let mut gone = session(&[(1, Said::Done)]);
        assert_eq!(gone.read(&[1]), Ok(()));
        assert!(gone.read(&[]).is_err());
    }

    #[test]
    fn values_are_lists_of_numbers() {
        assert_eq!(numbers(b""), Some(vec![]));
        assert_eq!(numbers(b"1,22,"), Some(vec![1, 22]));
        assert_eq!(numbers(b"1,x,"), None);
    }
}
