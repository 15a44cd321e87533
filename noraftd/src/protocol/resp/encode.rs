//! Writes replies in either version of RESP.

use bytes::BytesMut;

use super::{Reply, RespVersion};

impl Reply {
    /// Appends the reply to `out`, as a connection that speaks `version` expects it.
    pub fn encode(&self, version: RespVersion, out: &mut BytesMut) {
        let _ = (version, out);
        todo!()
    }
}
