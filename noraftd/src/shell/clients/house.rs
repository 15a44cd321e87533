//! Looks after clients that take more than their part, of memory and of patience, and those that are no clients.
//!
//! Invariant: only a client that is itself waited for is ended: one whose request does not arrive, or, when all together
//! leave too many replies unread, the one that has most of them and has read nothing for a while.

use std::rc::Rc;
use std::time::Duration;

use super::Clients;
use crate::shell::clock;
use crate::shell::connection::Connection;
use crate::time::Instant;

impl Clients {
    /// Looks after them, for as long as the process lives.
    pub(super) async fn keep_house(self: Rc<Self>) {
        let mut was_spent = false;
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let now = clock::now();
            self.end_late_requests(now);
            let is_spent = self.output.is_spent();
            if is_spent {
                self.end_one_that_does_not_read(now);
            }
            if is_spent || was_spent {
                self.each(|connection| connection.look_again());
            }
            was_spent = is_spent;
        }
    }

    fn each(&self, mut look: impl FnMut(&Rc<Connection>)) {
        self.connections.borrow().values().for_each(&mut look);
    }

    fn end_late_requests(&self, now: Instant) {
        let is_pressed = self.input.is_wanted();
        self.each(|connection| {
            if connection.intake.is_late(now, is_pressed) {
                connection.expire();
            }
        });
    }

    fn end_one_that_does_not_read(&self, now: Instant) {
        let mut worst: Option<(usize, Rc<Connection>)> = None;
        self.each(|connection| {
            let (unsent, since) = connection.stalled_since(now);
            let has_stalled = now.saturating_since(since) >= STALL;
            if has_stalled && worst.as_ref().is_none_or(|(most, _)| unsent > *most) {
                worst = Some((unsent, Rc::clone(connection)));
            }
        });
        let Some((unsent, connection)) = worst else { return };
        let session = connection.session.borrow();
        tracing::warn!(
            "client {} ({}) has read nothing for a while and has {unsent} bytes of replies waiting, the most of all \
             clients, who leave too many: closed",
            session.id,
            session.peer
        );
        drop(session);
        connection.close();
    }

    /// HTTP comes here from a browser that an attacker misuses, or from a probe with a wrong port.
    pub(super) fn warn_of_http(&self, connection: &Connection) {
        let peer = connection.session.borrow().peer.clone();
        self.http.warn_about(
            "HTTP",
            &format!(
                "client {peer} speaks HTTP: closed, before anything of it was read as a command (a web page can make a browser \
                 do this to attack the server)"
            ),
        );
    }
}

/// Often enough for [`STALL`], and seldom enough to cost nothing.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// A client that reads takes something in this time, over any usable link.
const STALL: Duration = Duration::from_secs(2);
