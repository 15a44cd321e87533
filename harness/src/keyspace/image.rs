//! The state in the bytes of a snapshot, as the daemon documents them: for comparing whole states.

use super::{Keyspace, Value};

impl Keyspace {
    /// The level, if there is one, and the entry that brought the first. Every key in order: a tag, the key, and the string; or the last id, then each entry of the stream.
    /// Which entry changed it, and when it goes, is said behind the string, or before the entries.
    pub fn image(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if self.level > 0 {
            out.extend([4, self.level, 7]);
            out.extend_from_slice(&self.first.to_le_bytes());
        }
        for (key, value) in &self.map {
            let goes = |out: &mut Vec<u8>| {
                if let Some(index) = self.changed.get(key) {
                    out.push(6);
                    out.extend_from_slice(&index.to_le_bytes());
                }
                if let Some(at) = self.goes.get(key) {
                    out.push(5);
                    out.extend_from_slice(&at.to_le_bytes());
                }
            };
            match value {
                Value::Text(text) => {
                    out.push(1);
                    put(&mut out, key);
                    put(&mut out, text);
                    goes(&mut out);
                }
                Value::Stream(stream) => {
                    out.push(2);
                    put(&mut out, key);
                    put_id(&mut out, stream.last.0, stream.last.1);
                    goes(&mut out);
                    for (id, fields) in &stream.entries {
                        out.push(3);
                        put_id(&mut out, id.0, id.1);
                        put_length(&mut out, fields.len());
                        fields.iter().for_each(|field| put(&mut out, field));
                    }
                }
            }
        }
        out
    }
}

fn put_id(out: &mut Vec<u8>, ms: u64, seq: u64) {
    out.extend_from_slice(&ms.to_le_bytes());
    out.extend_from_slice(&seq.to_le_bytes());
}

fn put_length(out: &mut Vec<u8>, length: usize) {
    let length = u32::try_from(length).expect("what a command brought is shorter than 4 GiB");
    out.extend_from_slice(&length.to_le_bytes());
}

fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    put_length(out, bytes.len());
    out.extend_from_slice(bytes);
}
