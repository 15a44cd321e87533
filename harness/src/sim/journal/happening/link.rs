//! What happens to links between nodes.

use std::fmt::{self, Display};
use std::hash::{Hash, Hasher};

use noraftd::protocol::peer::{Lane, PeerMessage};

use super::write_all;
use crate::plan::CutMode;
use crate::sim::journal::message::{numbers, words};
use crate::sim::parts::network::Way;

/// Something that happened to a link.
#[derive(Debug)]
pub(crate) enum LinkHappening<'a> {
    /// Its connection was made.
    Connects {
        link: usize,
        from: usize,
        to: usize,
        lane: Lane,
    },
    /// One of its ends does not want the connection.
    IsRefused {
        link: usize,
        from: usize,
        to: usize,
        why: String,
    },
    /// A message was sent.
    Sends {
        link: usize,
        from: usize,
        to: usize,
        message: &'a PeerMessage,
        way: Way,
    },
    /// A message arrives over it that was sent on an earlier connection, or to an earlier process.
    Crosses {
        link: usize,
        from: usize,
        to: usize,
        message: &'a PeerMessage,
    },
    /// It was opened or cut, from outside.
    IsSet {
        link: usize,
        from: usize,
        to: usize,
        lane: Lane,
        cut: Option<CutMode>,
    },
}

impl Hash for LinkHappening<'_> {
    fn hash<H: Hasher>(&self, to: &mut H) {
        match self {
            Self::Connects { link, .. } => write_all(to, &[0xc0, *link as u64]),
            Self::IsRefused { link, .. } => write_all(to, &[0xc1, *link as u64]),
            Self::Sends {
                link, message, way, ..
            } => {
                let arrives = match way {
                    Way::Arrives(at) | Way::Twice(at, _) | Way::Garbled(at) | Way::Rotten(at) => *at,
                    Way::Lost(_) | Way::Held => 0,
                };
                to.write_u64(*link as u64);
                write_all(to, &numbers(message));
                to.write_u64(arrives);
            }
            Self::Crosses { link, message, .. } => {
                write_all(to, &[0xc2, *link as u64]);
                write_all(to, &numbers(message));
            }
            Self::IsSet { link, cut, .. } => {
                let mode = cut.map_or(u64::MAX, |mode| mode as u64);
                write_all(to, &[0xc1, *link as u64, mode]);
            }
        }
    }
}

impl Display for LinkHappening<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connects { from, to, lane, .. } => {
                write!(f, "n{} -> n{}: connected ({lane:?})", from + 1, to + 1)
            }
            Self::IsRefused { from, to, why, .. } => {
                write!(f, "n{} -> n{}: no connection: {why}", from + 1, to + 1)
            }
            Self::Sends {
                from,
                to,
                message,
                way,
                ..
            } => {
                write!(f, "n{} -> n{}: {}", from + 1, to + 1, words(message))?;
                match way {
                    Way::Arrives(_) => Ok(()),
                    Way::Twice(..) => f.write_str(" [twice]"),
                    Way::Garbled(_) => f.write_str(" [garbled]"),
                    Way::Rotten(_) => f.write_str(" [rotten]"),
                    Way::Lost(why) => write!(f, " [{}]", why.name()),
                    Way::Held => f.write_str(" [held]"),
                }
            }
            Self::Crosses {
                from, to, message, ..
            } => {
                let message = words(message);
                write!(
                    f,
                    "n{} -> n{}: {message} [of an earlier connection]",
                    from + 1,
                    to + 1
                )
            }
            Self::IsSet {
                from, to, lane, cut, ..
            } => {
                write!(f, "n{} -> n{}: ", from + 1, to + 1)?;
                match cut {
                    Some(mode) => write!(f, "cut: {mode:?} ({lane:?})"),
                    None => write!(f, "opened ({lane:?})"),
                }
            }
        }
    }
}
