//! What nodes say to each other, up to the state machine's commands in forwarded requests.
//!
//! What was understood and is said again is understood as the same.

use bytes::BytesMut;
use noraftd::protocol::frame;
use noraftd::protocol::peer::{Features, PeerFrame};

const CLUSTER: u64 = 7;

pub(crate) fn run(bytes: &[u8]) {
    let [kind, body @ ..] = bytes else { return };
    // The kinds are small numbers; the largest stands for bytes without a frame around them.
    let mut buffer = BytesMut::new();
    if *kind == u8::MAX {
        buffer.extend_from_slice(body);
    } else {
        frame::encode(*kind, CLUSTER, &mut buffer, |out| out.extend_from_slice(body));
    }
    while let Ok(Some(frame)) = PeerFrame::decode(CLUSTER, &mut buffer) {
        let mut again = BytesMut::new();
        frame.encode(CLUSTER, Features::SUPPORTED, &mut again);
        let decoded = PeerFrame::decode(CLUSTER, &mut again);
        assert_eq!(decoded, Ok(Some(frame)), "said again, it is the same");
    }
}
