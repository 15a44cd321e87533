//! What a greeting says beyond version 1 of the protocol: a list of tagged values.
//!
//! Each is a tag u8, a length u16 (little-endian) and that many bytes. Unknown tags are skipped; a node that
//! has nothing to say sends none, and a node of the first release ignores all of them.
//!
//! | tag | value |
//! |-|-|
//! | 1 | features: u64, the bits of [`Features`] |
//! | 2 | nonce: 32 random bytes; the caller can prove that it knows the secret, and wants a challenge |
//! | 3 | members: u64, a hash of the nodes that the cluster began with |
//! | 4 | payload limit: u64, the most bytes of one command that the sender's segments hold |
//! | 5 | starts: u64, how often the node was started with its directory, and u32 for each of the last ones, 64 at most, a mark, the latest first |
//! | 6 | level: u8, the highest [`Level`] that the node supports; absent for 0 |
//! | 7 | generation: u64, of a cluster that was begun again; absent for 0 |
//! | 16 | where clients reach the node: HOST:PORT, printable ASCII of at most 300 bytes |
//! | 17 | lane, in a hello: u8, 1 for the connection that carries what is urgent; absent for the first one |
//! | 18 | where the other nodes reach the node: printable ASCII of at most 300 bytes; from level 1 on |
//! | 19 | the node's version: printable ASCII of at most 32 bytes; from level 1 on |
//!
//! Invariant: a tag occurs once, and a known tag has a value that parses; else the greeting is malformed.
//! What a node may send depends only on what the other side announced here.

use std::fmt;

use bytes::{BufMut, BytesMut};

use super::EXTENSIONS_BYTES_MAX;
use crate::level::Level;
use crate::protocol::command::is_address;
use crate::protocol::read::Reader;
use crate::secret::Nonce;

/// What a node says in its greeting about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Extensions {
    /// What it understands.
    pub features: Features,
    /// The caller's part of a mutual challenge.
    pub nonce: Option<Nonce>,
    /// What has to be equal on every node.
    pub settings: SharedSettings,
    /// Which process of the node it is, when it knows.
    pub starts: Option<Starts>,
    /// Where clients reach the node, HOST:PORT, when it knows.
    pub client_address: Option<String>,
    /// Where the other nodes reach the node, when it knows.
    pub peer_address: Option<String>,
    /// The node's version.
    pub version: Option<String>,
    /// What this connection carries.
    pub lane: Lane,
}

/// What a connection between nodes carries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// Everything, in order; while there is a second one, all that is not urgent.
    #[default]
    First,
    /// What must not wait behind payloads.
    Urgent,
}

impl Extensions {
    /// What this build says on a node with these settings.
    pub fn ours(settings: SharedSettings) -> Self {
        Self {
            features: Features::SUPPORTED,
            nonce: None,
            settings,
            starts: None,
            client_address: None,
            peer_address: None,
            version: None,
            lane: Lane::First,
        }
    }

    /// The same, on a connection of this lane.
    pub fn on(self, lane: Lane) -> Self {
        Self { lane, ..self }
    }

    pub(super) fn write(&self, out: &mut BytesMut) {
        let start = out.len();
        out.put_u32_le(0);
        if self.features.bits != 0 {
            put(TAG_FEATURES, &self.features.bits.to_le_bytes(), out);
        }
        if let Some(nonce) = &self.nonce {
            put(TAG_NONCE, nonce, out);
        }
        if let Some(members) = self.settings.members {
            put(TAG_MEMBERS, &members.to_le_bytes(), out);
        }
        if let Some(bytes) = self.settings.payload_bytes_max {
            put(TAG_PAYLOAD, &bytes.to_le_bytes(), out);
        }
        if let Some(starts) = &self.starts {
            let mut value = starts.count.to_le_bytes().to_vec();
            let marks = starts.marks.iter().take(MARKS_MAX);
            marks.for_each(|mark| value.extend_from_slice(&mark.to_le_bytes()));
            put(TAG_STARTS, &value, out);
        }
        if self.settings.generation != 0 {
            put(TAG_GENERATION, &self.settings.generation.to_le_bytes(), out);
        }
        if self.features.level > Level::FIRST {
            put(TAG_LEVEL, &[self.features.level.get()], out);
        }
        if let Some(address) = &self.client_address {
            put(TAG_CLIENT_ADDRESS, address.as_bytes(), out);
        }
        if let Some(address) = &self.peer_address {
            put(TAG_PEER_ADDRESS, address.as_bytes(), out);
        }
        if let Some(version) = &self.version {
            put(TAG_VERSION, version.as_bytes(), out);
        }
        if self.lane == Lane::Urgent {
            put(TAG_LANE, &[LANE_URGENT], out);
        }
        let bytes = out.len() - start - LENGTH_BYTES;
        assert!(bytes <= EXTENSIONS_BYTES_MAX, "extensions are within the limit");
        let length = u32::try_from(bytes).expect("the limit is below 2^32");
        out[start..start + LENGTH_BYTES].copy_from_slice(&length.to_le_bytes());
    }

    /// Reads the list behind its length.
    ///
    /// # Errors
    ///
    /// With what is wrong with it.
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, &'static str> {
        let list = reader.bytes().ok_or("its extensions end too early")?;
        if list.len() > EXTENSIONS_BYTES_MAX {
            return Err("its extensions are too long");
        }
        let (mut extensions, mut seen) = (Self::default(), [false; 1 + u8::MAX as usize]);
        let mut list = Reader::new(list);
        while list.end().is_none() {
            let (tag, value) = take(&mut list).ok_or("an extension ends too early")?;
            if std::mem::replace(&mut seen[usize::from(tag)], true) {
                return Err("an extension occurs twice");
            }
            extensions.set(tag, value)?;
        }
        Ok(extensions)
    }

    fn set(&mut self, tag: u8, value: &[u8]) -> Result<(), &'static str> {
        match tag {
            TAG_FEATURES => self.features.bits = number(value)?,
            TAG_NONCE => {
                self.nonce = Some(value.try_into().map_err(|_| "its nonce has another length")?);
            }
            TAG_MEMBERS => self.settings.members = Some(number(value)?),
            TAG_PAYLOAD => self.settings.payload_bytes_max = Some(number(value)?),
            TAG_STARTS => self.starts = Some(starts(value)?),
            TAG_GENERATION => self.settings.generation = number(value)?,
            TAG_LEVEL => match value {
                [level] => self.features.level = Level::new(*level),
                _ => return Err("its level is no number"),
            },
            TAG_CLIENT_ADDRESS => {
                let text = std::str::from_utf8(value).ok();
                let address = text.filter(|text| is_client_address(text));
                self.client_address = Some(address.ok_or("its client address is none")?.to_owned());
            }
            TAG_PEER_ADDRESS => {
                let text = std::str::from_utf8(value).ok().filter(|text| is_address(text));
                self.peer_address = Some(text.ok_or("its address for other nodes is none")?.to_owned());
            }
            TAG_VERSION => {
                let text = std::str::from_utf8(value).ok();
                let text = text.filter(|text| is_address(text) && text.len() <= VERSION_BYTES_MAX);
                self.version = Some(text.ok_or("its version is none")?.to_owned());
            }
            TAG_LANE if value == [LANE_URGENT] => self.lane = Lane::Urgent,
            TAG_LANE => return Err("its lane is unknown"),
            _ => {}
        }
        Ok(())
    }
}

fn number(value: &[u8]) -> Result<u64, &'static str> {
    let bytes = value.try_into().map_err(|_| "an extension is not a number")?;
    Ok(u64::from_le_bytes(bytes))
}

fn starts(value: &[u8]) -> Result<Starts, &'static str> {
    let fault = "its starts have another length";
    let (count, marks) = value.split_first_chunk().ok_or(fault)?;
    let (marks, rest) = marks.as_chunks();
    if marks.is_empty() || marks.len() > MARKS_MAX || !rest.is_empty() {
        return Err(fault);
    }
    Ok(Starts {
        count: u64::from_le_bytes(*count),
        marks: marks.iter().map(|mark| u32::from_le_bytes(*mark)).collect(),
    })
}

/// Which process of a node it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Starts {
    /// How often the node was started with its data directory, this time included.
    pub count: u64,
    /// A mark that this process has drawn, and those of the starts before it, the latest first.
    pub marks: Vec<u32>,
}

/// What has to be equal on every node of a cluster; `None` where a node does not know, or does not say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SharedSettings {
    /// A hash of the nodes that the cluster began with.
    pub members: Option<u64>,
    /// Most bytes of one command.
    pub payload_bytes_max: Option<u64>,
    /// Which beginning of the cluster it is: a node that says none is of the first.
    pub generation: u64,
}

impl SharedSettings {
    /// The settings that both know and that differ; the generation is always known.
    pub fn differences(self, other: Self) -> Differences {
        let differ = |one: Option<u64>, other: Option<u64>| one.zip(other).is_some_and(|(a, b)| a != b);
        let members = u64::from(differ(self.members, other.members));
        let payload = u64::from(differ(self.payload_bytes_max, other.payload_bytes_max));
        let generation = u64::from(self.generation != other.generation);
        Differences(members | payload << 1 | generation << 2)
    }
}

/// Which settings differ, as bits: 0 the members, 1 the payload limit, 2 the generation. Says their names, and nothing of their values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Differences(pub(super) u64);

impl Differences {
    /// True when nothing differs.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Display for Differences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = ["peers", "segment_bytes", "generation (see `noraftd recover`)"];
        let named = named.into_iter().zip([1, 2, 4]);
        let names: Vec<&str> = named
            .filter(|(_, bit)| self.0 & bit != 0)
            .map(|(name, _)| name)
            .collect();
        match names.is_empty() {
            true => f.write_str("a setting that only a later version has"),
            false => f.write_str(&names.join(" and ")),
        }
    }
}

/// What a node understands beyond version 1: of single messages as bits, which are only ever added to, and never used
/// again; and of the replicated log as a level.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Features {
    bits: u64,
    level: Level,
}

impl Features {
    /// The first release.
    pub const NONE: Self = Self {
        bits: 0,
        level: Level::FIRST,
    };
    /// Pre-votes carry the number of their canvass.
    pub const CANVASS: Self = Self::bit(0);
    /// AppendEntries and snapshots carry the chain over the log's content.
    pub const CHAIN: Self = Self::bit(1);
    /// Digests of the state are compared.
    pub const DIGEST: Self = Self::bit(2);
    /// A second connection for what must not wait behind payloads.
    pub const URGENT: Self = Self::bit(3);
    /// A forwarded request may ask for the index that a linearizable read would have.
    pub const READ_INDEX: Self = Self::bit(4);
    /// A leader may tell the node to campaign.
    pub const TRANSFER: Self = Self::bit(5);

    /// What this build understands. The simulation's nodes have all of them.
    pub const SUPPORTED: Self = Self::CANVASS
        .with(Self::CHAIN)
        .with(Self::DIGEST)
        .with(Self::URGENT)
        .with(Self::READ_INDEX)
        .with(Self::TRANSFER)
        .at(Level::SUPPORTED);

    const fn bit(number: u32) -> Self {
        Self {
            bits: 1 << number,
            level: Level::FIRST,
        }
    }

    /// The same, of a node that supports this level.
    pub const fn at(self, level: Level) -> Self {
        Self { level, ..self }
    }

    /// The highest level that the node supports.
    pub const fn level(self) -> Level {
        self.level
    }

    /// These and those; the level stays.
    pub const fn with(self, other: Self) -> Self {
        Self {
            bits: self.bits | other.bits,
            level: self.level,
        }
    }

    /// True when every one of `wanted` is among these, whatever the levels.
    pub const fn has(self, wanted: Self) -> bool {
        self.bits & wanted.bits == wanted.bits
    }
}

/// Appends one extension.
fn put(tag: u8, value: &[u8], out: &mut BytesMut) {
    out.put_u8(tag);
    out.put_u16_le(u16::try_from(value.len()).expect("the limit of all of them is below 2^16"));
    out.extend_from_slice(value);
}

/// The next extension; `None` when it is cut off.
fn take<'a>(list: &mut Reader<'a>) -> Option<(u8, &'a [u8])> {
    let tag = list.u8()?;
    let length = u16::from_le_bytes([list.u8()?, list.u8()?]);
    Some((tag, list.take(usize::from(length))?))
}

/// True for HOST:PORT: it is shown to clients, in lines of text.
pub fn is_client_address(text: &str) -> bool {
    let port = text.rsplit_once(':').filter(|(host, _)| !host.is_empty());
    let port = port.and_then(|(_, port)| port.parse::<u16>().ok());
    let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',');
    port.is_some_and(|port| port > 0) && is_plain && text.len() <= CLIENT_ADDRESS_BYTES_MAX
}

const TAG_FEATURES: u8 = 1;
const TAG_NONCE: u8 = 2;
const TAG_MEMBERS: u8 = 3;
const TAG_PAYLOAD: u8 = 4;
const TAG_STARTS: u8 = 5;
/// They all fit into a greeting.
const MARKS_MAX: usize = 64;
const TAG_GENERATION: u8 = 7;
const TAG_LEVEL: u8 = 6;
const TAG_CLIENT_ADDRESS: u8 = 16;
/// A host name has 253 bytes at most.
const CLIENT_ADDRESS_BYTES_MAX: usize = 300;
const TAG_PEER_ADDRESS: u8 = 18;
const TAG_VERSION: u8 = 19;
const VERSION_BYTES_MAX: usize = 32;
const TAG_LANE: u8 = 17;
const LANE_URGENT: u8 = 1;
const LENGTH_BYTES: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(list: &[u8]) -> Result<Extensions, &'static str> {
        let length = u32::try_from(list.len()).expect("short");
        let bytes = [&length.to_le_bytes()[..], list].concat();
        Extensions::read(&mut Reader::new(&bytes))
    }

    fn some() -> Extensions {
        Extensions {
            features: Features::CHAIN.with(Features::URGENT),
            ..Extensions::default()
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let full = Extensions {
            nonce: Some([9; 32]),
            settings: SharedSettings {
                members: Some(7),
                payload_bytes_max: Some(8),
                generation: 9,
            },
            starts: Some(Starts {
                count: 3,
                marks: vec![6, 5, 4],
            }),
            client_address: Some("[::1]:7601".to_owned()),
            peer_address: Some("unix:/run/peer.sock".to_owned()),
            version: Some("0.2.0".to_owned()),
            features: some().features.at(Level::new(9)),
            ..Extensions::default()
        };
        for extensions in [Extensions::default(), some(), full, some().on(Lane::Urgent)] {
            let mut out = BytesMut::new();
            extensions.write(&mut out);
            assert_eq!(Extensions::read(&mut Reader::new(&out)), Ok(extensions));
        }
    }

    #[test]
    fn a_node_without_features_says_nothing() {
        let mut out = BytesMut::new();
        Extensions::default().write(&mut out);
        assert_eq!(out[..], [0; 4]);
        assert_eq!(read(b""), Ok(Extensions::default()));
    }

    #[test]
    fn unknown_tags_are_skipped() {
        let mut list = BytesMut::new();
        put(200, b"later", &mut list);
        put(TAG_FEATURES, &10_u64.to_le_bytes(), &mut list);
        put(201, b"", &mut list);
        assert_eq!(read(&list), Ok(some()));
    }

    #[test]
    fn what_is_malformed_is_refused() {
        let features = [&[TAG_FEATURES, 8, 0][..], &[0; 8]].concat();
        for end in 1..features.len() {
            assert!(read(&features[..end]).is_err(), "cut off after {end} bytes");
        }
        assert!(
            read(&[TAG_FEATURES, 4, 0, 1, 2, 3, 4]).is_err(),
            "features of 4 bytes"
        );
        for bytes in [7, 8, 11, 13, 8 + 4 * (MARKS_MAX + 1)] {
            let mut list = BytesMut::new();
            put(TAG_STARTS, &vec![1; bytes], &mut list);
            assert!(read(&list).is_err(), "starts of {bytes} bytes");
        }
        assert!(read(&[features.clone(), features].concat()).is_err(), "twice");
        assert!(read(&[TAG_LEVEL, 0, 0]).is_err(), "a level without a number");
        assert!(read(&[TAG_LEVEL, 2, 0, 1, 0]).is_err(), "a level of two bytes");
        assert!(read(&[9, 0, 0].repeat(2)).is_err(), "an unknown one twice");
        for address in [
            "",
            "host",
            ":7601",
            "host:0",
            "host:65536",
            "ho st:1",
            "a\r\nb:1",
            "a,b:1",
        ] {
            let mut list = BytesMut::new();
            put(TAG_CLIENT_ADDRESS, address.as_bytes(), &mut list);
            assert!(read(&list).is_err(), "{address}");
        }
        assert!(read(&[0; 3 << 10]).is_err(), "too long");
        let mut long = BytesMut::new();
        put(9, &vec![0; EXTENSIONS_BYTES_MAX], &mut long);
        assert_eq!(read(&long), Err("its extensions are too long"));
    }

    #[test]
    fn settings_differ_where_both_know_them() {
        let settings = |members, payload_bytes_max| SharedSettings {
            members,
            payload_bytes_max,
            generation: 0,
        };
        let all = settings(Some(1), Some(2));
        for other in [all, settings(None, None), settings(None, Some(2))] {
            assert!(all.differences(other).is_empty() && other.differences(all).is_empty());
        }
        let named = |other| all.differences(other).to_string();
        assert_eq!(named(settings(Some(9), None)), "peers");
        assert_eq!(named(settings(None, Some(9))), "segment_bytes");
        assert_eq!(named(settings(Some(9), Some(9))), "peers and segment_bytes");
        let again = SharedSettings { generation: 7, ..all };
        assert_eq!(named(again), "generation (see `noraftd recover`)");
        assert!(again.differences(again).is_empty());
    }

    #[test]
    fn features_are_compared_as_sets() {
        let both = Features::CHAIN.with(Features::CANVASS);
        assert!(both.has(Features::CHAIN) && both.has(Features::NONE));
        assert!(!both.has(Features::CHAIN.with(Features::DIGEST)));
        assert!(both.at(Level::FLUSH).has(both) && both.has(both.at(Level::FLUSH)));
    }
}
