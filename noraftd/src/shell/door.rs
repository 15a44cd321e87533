//! Which clients may give a node orders: the commands `NORAFT.*`, all but the status.
//!
//! A process that opens the socket `admin.sock` in the data directory may: only the node's own user can open it. Over
//! any other connection, a challenge is answered with the peer secret first: `NORAFT.AUTH` gives 32 random bytes as hex,
//! `NORAFT.AUTH <hex>` takes what [`Secret::admin_proof`](crate::secret::Secret::admin_proof) makes of them. A node
//! without a secret trusts this machine, and the certificates of nodes (`--peer-ca`, `--peer-allowed`), and nothing else.
//!
//! Invariant: a challenge is answered once; what was proven holds for its connection, as long as the secret is in force.

use std::cell::{Cell, RefCell};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::clock;
use super::keyring::Keyring;
use super::sockets::{Listener, Stream};
use crate::endpoint::Endpoint;
use crate::protocol::resp::Reply;
use crate::secret::{Nonce, Secret, from_hex, to_hex};

/// The name of the socket in the data directory.
pub(super) const ADMIN_SOCKET: &str = "admin.sock";

/// The way that a connection came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entrance {
    /// The socket in the data directory.
    Admin,
    /// An address for clients, from this machine.
    Local,
    /// An address for clients, from another machine.
    Remote,
}

impl Entrance {
    /// The way of a connection to an address for clients.
    pub(super) fn of(stream: &Stream) -> Self {
        match stream.is_local() {
            true => Self::Local,
            false => Self::Remote,
        }
    }
}

/// What is known about the other side of a connection.
#[derive(Debug)]
pub(super) struct Door {
    entrance: Entrance,
    challenge: Cell<Option<Nonce>>,
    proven: RefCell<Option<Secret>>,
    /// The other side has shown the certificate of a node.
    is_node: Cell<bool>,
}

impl Door {
    /// Nothing is proven yet.
    pub(super) fn new(entrance: Entrance) -> Self {
        Self {
            entrance,
            challenge: Cell::default(),
            proven: RefCell::default(),
            is_node: Cell::default(),
        }
    }

    /// The other side has shown the certificate of a node: where there is no secret, that is as good as one.
    pub(super) fn shows_node(&self, is_node: bool) {
        self.is_node.set(is_node);
    }

    /// Why the other side may not give orders; `None` when it may.
    pub(super) fn refusal(&self, keyring: &Keyring) -> Option<Reply> {
        let proven = self.proven.borrow();
        let is_proven = proven.as_ref().is_some_and(|secret| keyring.contains(secret));
        let text = match (self.entrance, keyring.has_secret()) {
            (Entrance::Admin, _) | (Entrance::Local, false) => return None,
            (Entrance::Local | Entrance::Remote, true) if is_proven => return None,
            (Entrance::Remote, false) if self.is_node.get() => return None,
            (Entrance::Local | Entrance::Remote, true) => {
                "NOAUTH prove that you know the peer secret with NORAFT.AUTH (noraftd's verbs do with \
                 --peer-secret-file), or use the socket admin.sock in the data directory"
            }
            (Entrance::Remote, false) => {
                "NOAUTH without a peer secret this node takes orders only from its own machine, and with the certificate of a node"
            }
        };
        Some(Reply::Error(text.to_owned()))
    }

    /// Asks for a proof.
    pub(super) fn challenge(&self) -> Reply {
        let nonce = clock::random_bytes();
        self.challenge.set(Some(nonce));
        Reply::Bulk(to_hex(&nonce).into())
    }

    /// Takes the answer to the last challenge.
    pub(super) fn prove(&self, keyring: &Keyring, answer: &str) -> Reply {
        let Some(challenge) = self.challenge.take() else {
            return Reply::Error(
                "ERR NORAFT.AUTH without an argument gives the challenge to answer".to_owned(),
            );
        };
        let secret = from_hex(answer).and_then(|proof| keyring.admit_admin(&challenge, &proof));
        match secret {
            Some(secret) => {
                self.proven.replace(Some(secret));
                Reply::Status("OK")
            }
            None => Reply::Error("NOAUTH that is not the answer: the peer secret differs".to_owned()),
        }
    }
}

/// Listens on the socket in the data directory; says so and gives `None` when that is not possible. The node owns the
/// directory, so whatever has the name was left by its last process.
pub(super) async fn listen(data_dir: &Path) -> Option<Listener> {
    let (path, unready) = (data_dir.join(ADMIN_SOCKET), data_dir.join("admin.tmp"));
    let bound = async {
        let mut listener = Listener::bind(&Endpoint::Unix(unready.clone())).await?;
        let named = std::fs::set_permissions(&unready, Permissions::from_mode(0o600))
            .and_then(|()| std::fs::rename(&unready, &path));
        // It gets its name only once no other user can open it.
        named.map_err(|error| super::sockets::BindError::Io(Endpoint::Unix(path.clone()), error))?;
        listener.moved_to(path.clone());
        Ok::<_, super::sockets::BindError>(listener)
    };
    let too_long = unready.as_os_str().len() > crate::endpoint::UNIX_PATH_BYTES_MAX;
    let why = match too_long {
        true => "its path is too long".to_owned(),
        false => match bound.await {
            Ok(listener) => return Some(listener),
            Err(error) => error.to_string(),
        },
    };
    tracing::warn!(
        "there is no {}: {why}; admin commands are accepted over the client addresses only",
        path.display()
    );
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::PeerAuth;
    use crate::secret::Secrets;

    struct World {
        _dir: tempfile::TempDir,
        path: std::path::PathBuf,
        keyring: Keyring,
    }

    fn with_secret() -> World {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("secret");
        std::fs::write(&path, "0123456789abcdef").expect("written");
        let keyring = Keyring::open(PeerAuth::Require, Some(path.clone())).expect("a secret");
        World {
            _dir: dir,
            path,
            keyring,
        }
    }

    fn answer_of(secrets: &Secrets, challenge: &Reply) -> String {
        let Reply::Bulk(hex) = challenge else {
            panic!("{challenge:?}")
        };
        let nonce = from_hex(std::str::from_utf8(hex).expect("hex")).expect("a nonce");
        to_hex(&secrets.iter().next().expect("one").admin_proof(&nonce))
    }

    #[test]
    fn without_a_secret_only_this_machine_gives_orders() {
        let keyring = Keyring::none();
        for (entrance, may) in [
            (Entrance::Admin, true),
            (Entrance::Local, true),
            (Entrance::Remote, false),
        ] {
            assert_eq!(
                Door::new(entrance).refusal(&keyring).is_none(),
                may,
                "{entrance:?}"
            );
        }
    }

    #[test]
    fn the_certificate_of_a_node_is_enough_only_where_there_is_no_secret() {
        let world = with_secret();
        for (keyring, may) in [(&Keyring::none(), true), (&world.keyring, false)] {
            let door = Door::new(Entrance::Remote);
            assert!(door.refusal(keyring).is_some(), "nothing is shown yet");
            door.shows_node(true);
            assert_eq!(door.refusal(keyring).is_none(), may);
        }
    }

    #[test]
    fn with_a_secret_all_but_the_admin_socket_prove_it() {
        let world = with_secret();
        let secrets = Secrets::read(&world.path).expect("a secret");
        assert!(Door::new(Entrance::Admin).refusal(&world.keyring).is_none());
        for entrance in [Entrance::Local, Entrance::Remote] {
            let door = Door::new(entrance);
            assert!(door.refusal(&world.keyring).is_some());
            let answer = answer_of(&secrets, &door.challenge());
            assert_eq!(door.prove(&world.keyring, &answer), Reply::Status("OK"));
            assert!(door.refusal(&world.keyring).is_none());
        }
    }

    #[test]
    fn a_challenge_is_answered_once_and_rightly() {
        let world = with_secret();
        let secrets = Secrets::read(&world.path).expect("a secret");
        let door = Door::new(Entrance::Local);
        let answer = answer_of(&secrets, &door.challenge());
        for wrong in ["", "zz", &answer[2..], &to_hex(&[0; 16])] {
            door.challenge();
            assert!(
                matches!(door.prove(&world.keyring, wrong), Reply::Error(_)),
                "{wrong}"
            );
        }
        assert!(
            matches!(door.prove(&world.keyring, &answer), Reply::Error(_)),
            "an old one"
        );
        assert!(door.refusal(&world.keyring).is_some());
    }

    #[test]
    fn what_was_proven_ends_with_its_secret() {
        let world = with_secret();
        let secrets = Secrets::read(&world.path).expect("a secret");
        let door = Door::new(Entrance::Local);
        let answer = answer_of(&secrets, &door.challenge());
        door.prove(&world.keyring, &answer);
        std::fs::write(&world.path, "fedcba9876543210").expect("written");
        world.keyring.reload().expect("another secret");
        assert!(door.refusal(&world.keyring).is_some());
    }
}
