//! Clients that rest: they begin nothing new while a fault asks for quiet.
//!
//! Invariant: who begins to rest ends what it has begun; all go on when the last rest is over.

use tokio::sync::watch;

/// Who rests, and how many clients have waited because of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Resting {
    /// Rests of all clients that are in force.
    all: usize,
    /// Rests in which those go on that only read.
    but_readers: usize,
    /// Clients that have waited since the first of these rests began.
    waited: u64,
}

impl Resting {
    fn includes(&self, reads_only: bool) -> bool {
        self.all > 0 || self.but_readers > 0 && !reads_only
    }
}

/// What all clients of a run look at before they begin something.
#[derive(Debug, Clone)]
pub struct Silence(watch::Sender<Resting>);

impl Default for Silence {
    fn default() -> Self {
        Self(watch::Sender::new(Resting::default()))
    }
}

impl Silence {
    /// Waits while this client has to rest.
    pub async fn over(&self, reads_only: bool) {
        if !self.0.borrow().includes(reads_only) {
            return;
        }
        self.0.send_modify(|resting| resting.waited += 1);
        let mut resting = self.0.subscribe();
        // The sender is ours, so it is there.
        let _ = resting.wait_for(|resting| !resting.includes(reads_only)).await;
    }

    /// Lets clients rest until the guard is dropped: all, or all but those that only read.
    pub fn begin(&self, readers_go_on: bool) -> Quiet {
        self.0.send_modify(|resting| {
            if resting.all + resting.but_readers == 0 {
                resting.waited = 0;
            }
            *resting.counter(readers_go_on) += 1;
        });
        Quiet {
            rest: self.clone(),
            readers_go_on,
        }
    }
}

impl Resting {
    fn counter(&mut self, readers_go_on: bool) -> &mut usize {
        match readers_go_on {
            true => &mut self.but_readers,
            false => &mut self.all,
        }
    }
}

/// A rest that is in force.
#[derive(Debug)]
pub struct Quiet {
    rest: Silence,
    readers_go_on: bool,
}

impl Quiet {
    /// How many clients have waited.
    pub fn waited(&self) -> u64 {
        self.rest.0.borrow().waited
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        self.rest
            .0
            .send_modify(|resting| *resting.counter(self.readers_go_on) -= 1);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    async fn rests(rest: &Silence, reads_only: bool) -> bool {
        timeout(Duration::from_millis(5), rest.over(reads_only))
            .await
            .is_err()
    }

    #[tokio::test]
    async fn clients_go_on_when_the_last_rest_is_over_and_readers_in_some() {
        let rest = Silence::default();
        assert!(!rests(&rest, false).await);
        let writers = rest.begin(true);
        assert!(rests(&rest, false).await && !rests(&rest, true).await);
        let all = rest.begin(false);
        assert!(rests(&rest, true).await);
        assert_eq!(all.waited(), 2);
        drop(all);
        assert!(!rests(&rest, true).await && rests(&rest, false).await);
        drop(writers);
        assert!(!rests(&rest, false).await);
        assert_eq!(rest.begin(false).waited(), 0, "of an earlier rest");
    }
}
