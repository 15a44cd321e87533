//! States that survive their images, and bytes that are no image.

use noraft::NodeId;

use super::*;
use crate::protocol::command::{self, Addresses, Member, MemberChange, Parsed, Part};
use crate::protocol::resp::Reply;

fn run(machine: &mut Machine, words: &[&[u8]]) {
    let args = words.iter().map(|word| Bytes::copy_from_slice(word)).collect();
    let Ok(Parsed::Replicated(request)) = command::parse(args) else {
        panic!("{words:?} is a command that is replicated")
    };
    let index = LogIndex::new(machine.applied_index().get() + 1);
    machine.apply(index, Stamp::from_millis(index.get()), &request.body);
}

fn state(keys: u32) -> Machine {
    let mut machine = Machine::new();
    for n in 0..keys {
        let key = format!("key-{}", n * 7919 % keys);
        run(&mut machine, &[b"SET", key.as_bytes(), &[n as u8; 100]]);
        run(&mut machine, &[b"XADD", b"log", b"*", b"field", key.as_bytes()]);
    }
    run(&mut machine, &[b"SET", b"", b""]);
    machine
}

fn restored(chunks: impl Iterator<Item = Bytes>) -> Option<Machine> {
    restored_at(chunks, Stamp::default())
}

fn restored_at(chunks: impl Iterator<Item = Bytes>, clock: Stamp) -> Option<Machine> {
    let mut restoring = Restoring::default();
    for chunk in chunks {
        restoring.take(&chunk).then_some(())?;
    }
    Some(restoring.finish(LogIndex::new(1), clock))
}

#[test]
fn a_state_survives_its_chunks() {
    for keys in [0, 1, 5000] {
        let machine = state(keys);
        let chunks: Vec<Bytes> = machine.chunks().collect();
        assert!(chunks.len() > keys as usize / 2000, "{}", chunks.len());
        let back = restored(chunks.into_iter()).expect("what was written is read");
        assert_eq!(back.state_hash(), machine.state_hash());
        assert_eq!(back.read_state_hash(), machine.state_hash());
        assert_eq!(back.key_count(), machine.key_count());
    }
}

#[test]
fn the_level_is_in_the_image_from_level_1_on() {
    let (mut machine, keys) = (state(3), state(3));
    let request = command::Request::to_raise(Level::FLUSH);
    let index = LogIndex::new(machine.applied_index().get() + 1);
    let raised = machine.apply(index, Stamp::from_millis(1), &request.body);
    assert_eq!(raised, Reply::Integer(1));
    assert_ne!(machine.state_hash(), keys.state_hash());
    let chunk = |machine: &Machine| machine.chunks().next().expect("there is a chunk");
    let first = [&[TAG_FIRST_KEPT][..], &index.get().to_le_bytes()].concat();
    assert_eq!(
        chunk(&machine),
        [&[TAG_LEVEL, 1], &first[..], &chunk(&keys)].concat()
    );
    let mut back = restored(machine.chunks()).expect("what was written is read");
    assert_ne!(
        back.state_hash(),
        machine.state_hash(),
        "the time is not in the image"
    );
    back.advance(LogIndex::new(2), machine.clock());
    assert_eq!(
        (back.level(), back.state_hash()),
        (Level::FLUSH, machine.state_hash())
    );
    for strange in [&[TAG_LEVEL, 0][..], &[TAG_LEVEL, 1, TAG_LEVEL, 1], &[TAG_LEVEL]] {
        assert!(restored([Bytes::copy_from_slice(strange)].into_iter()).is_none());
    }
    let late = [&chunk(&keys)[..], &[TAG_LEVEL, 1]].concat();
    assert!(restored([Bytes::from(late)].into_iter()).is_none(), "behind keys");
}

#[test]
fn the_membership_table_is_in_the_image_before_all_keys() {
    let mut machine = state(3);
    let member = Member {
        id: NodeId::new(3),
        part: Part::Voter,
        incarnation: 9,
        addresses: Addresses::default(),
    };
    let begin = command::Request::to_change_members(&MemberChange::Begin(vec![member]));
    let mut apply = |request: command::Request| {
        let index = LogIndex::new(machine.applied_index().get() + 1);
        machine.apply(index, Stamp::from_millis(1), &request.body)
    };
    let error = apply(begin.clone());
    assert!(
        matches!(error, Reply::Error(_)),
        "at level 0 there is no table: {error:?}"
    );
    apply(command::Request::to_raise(Level::FLUSH));
    assert_eq!(apply(begin), Reply::Status("OK"));
    let back = restored_at(machine.chunks(), machine.keys.clock()).expect("what was written is read");
    assert_eq!(back.members(), machine.members());
    assert_eq!(back.state_hash(), machine.state_hash());
    let bare = machine.without_members();
    assert!(bare.members().is_empty() && bare.state_hash() != machine.state_hash());
    let table = [
        &[TAG_MEMBERS, machine.members().encode().len() as u8, 0, 0, 0][..],
        &machine.members().encode(),
    ];
    let table = table.concat();
    let level = &[TAG_LEVEL, 1][..];
    let begun = |parts: &[&[u8]]| restored([Bytes::from(parts.concat())].into_iter()).is_some();
    assert!(begun(&[level, &table]));
    assert!(!begun(&[&table]), "without a level");
    assert!(!begun(&[level, &table, &table]), "twice");
}

#[test]
fn a_clone_stays_what_it_was() {
    let mut machine = state(300);
    let (frozen, hash) = (machine.clone(), machine.state_hash());
    run(&mut machine, &[b"SET", b"key-1", b"other"]);
    run(&mut machine, &[b"XADD", b"log", b"*", b"field", b"more"]);
    run(&mut machine, &[b"DEL", b"key-2"]);
    assert_eq!(frozen.state_hash(), hash);
    assert_ne!(machine.state_hash(), hash);
}

#[test]
fn no_bytes_panic_and_cut_chunks_are_refused() {
    let chunk = state(3).chunks().next().expect("there is a chunk");
    let mut whole = 0;
    for end in 0..chunk.len() {
        whole += u32::from(restored([chunk.slice(..end)].into_iter()).is_some());
    }
    assert!(whole <= 8, "only between items: {whole}");
    for bit in 0..chunk.len() * 8 {
        let mut bytes = chunk.to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let _ = restored([Bytes::from(bytes)].into_iter());
    }
}

#[test]
fn a_deadline_is_only_where_a_command_could_have_made_it() {
    let one = |tag: u8| [&[tag][..], &1_u32.to_le_bytes(), b"k"].concat();
    let key = [&one(TAG_STRING)[..], &0_u32.to_le_bytes()].concat();
    let stream = [&one(TAG_STREAM)[..], &[1; 16]].concat();
    let deadline = |millis: u64| [&[TAG_DEADLINE][..], &millis.to_le_bytes()].concat();
    let level = [TAG_LEVEL, 1];
    let read = |parts: &[&[u8]]| restored([Bytes::from(parts.concat())].into_iter());
    for key in [&key, &stream] {
        let machine = read(&[&level, key, &deadline(9)]).expect("it is read");
        assert_eq!(machine.next_deadline(), Some(Stamp::from_millis(9)));
        assert_eq!(machine.state_hash(), machine.read_state_hash());
        assert!(read(&[key, &deadline(9)]).is_none(), "below the level");
        assert!(read(&[&level, key, &deadline(0)]).is_none());
        assert!(read(&[&level, key, &deadline(9), &deadline(9)]).is_none());
    }
    assert!(read(&[&level, &deadline(9)]).is_none(), "of no key");
    assert!(read(&[&level, &deadline(9), &key]).is_none());
    let entry = [&[TAG_ENTRY][..], &[1; 16], &[0; 4]].concat();
    assert!(
        read(&[&level, &stream, &entry, &deadline(9)]).is_none(),
        "behind entries"
    );
    assert!(read(&[&level, &stream, &deadline(9), &entry]).is_some());
}

/// At the level that has values of elements, without a key; and its image.
fn without_keys() -> (Machine, Vec<u8>) {
    let mut machine = Machine::new();
    let raise = command::Request::to_raise(Level::DATA);
    machine.apply(LogIndex::new(1), Stamp::default(), &raise.body);
    let head = image(&machine);
    (machine, head)
}

fn image(machine: &Machine) -> Vec<u8> {
    machine.chunks().flatten().collect()
}

fn bytes(text: &[u8]) -> Vec<u8> {
    [&(text.len() as u32).to_le_bytes(), text].concat()
}

/// The key `h` has a value of this kind, set by the entry at `index`.
fn begins(kind: u8, index: u64) -> Vec<u8> {
    let head = [&[TAG_CONTAINER, kind][..], &bytes(b"h"), &[TAG_MODIFIED]].concat();
    [head, index.to_le_bytes().to_vec()].concat()
}

fn element(parts: &[&[u8]]) -> Vec<u8> {
    [&[TAG_ELEMENT][..], &parts.concat()].concat()
}

fn is_read(head: &[u8], parts: &[&[u8]]) -> bool {
    let image = [head, &parts.concat()].concat();
    restored([Bytes::from(image)].into_iter()).is_some()
}

#[test]
fn a_hash_has_these_bytes_and_no_others() {
    let (mut machine, head) = without_keys();
    run(&mut machine, &[b"HSET", b"h", b"f", b"v", b"g", b""]);
    let begins_hash = begins(1, 2);
    let (f, g) = (
        element(&[&bytes(b"f"), &bytes(b"v")]),
        element(&[&bytes(b"g"), &bytes(b"")]),
    );
    assert_eq!(image(&machine), [&head[..], &begins_hash, &g, &f].concat());
    let string = [&[TAG_STRING][..], &bytes(b"k"), &bytes(b"")].concat();
    assert!(is_read(&head, &[&begins_hash, &g, &f]));
    assert!(is_read(&head, &[&begins_hash, &g, &string]));
    for strange in [
        &[&begins_hash[..], &f, &g][..],
        &[&begins_hash, &f, &f],
        &[&begins_hash, &string],
        &[&begins(0, 2), &f],
        &[&begins_hash, &[TAG_ELEMENT]],
        &[&string, &f],
        &[&f],
    ] {
        assert!(!is_read(&head, strange), "{strange:?}");
    }
    let below = Bytes::from([begins_hash, f].concat());
    assert!(restored([below].into_iter()).is_none(), "the level is too low");
}

#[test]
fn sets_and_lists_have_these_bytes_and_no_others() {
    let (mut machine, head) = without_keys();
    let of = |member: &[u8]| element(&[&bytes(member)]);
    let (f, g) = (of(b"f"), of(b"g"));
    run(&mut machine, &[b"SADD", b"h", b"f", b"g"]);
    assert_eq!(image(&machine), [&head[..], &begins(2, 2), &g, &f].concat());
    assert!(!is_read(&head, &[&begins(2, 2), &f, &g]));
    run(&mut machine, &[b"DEL", b"h"]);
    run(&mut machine, &[b"RPUSH", b"h", b"g", b"f", b"g"]);
    assert_eq!(image(&machine), [&head[..], &begins(4, 4), &g, &f, &g].concat());
    run(&mut machine, &[b"DEL", b"h"]);
    run(&mut machine, &[b"ZADD", b"h", b"2", b"f", b"-1.5", b"g"]);
    let of = |score: f64, member: &[u8]| element(&[&score.to_le_bytes(), &bytes(member)]);
    let (f, g) = (of(2.0, b"f"), of(-1.5, b"g"));
    assert_eq!(image(&machine), [&head[..], &begins(3, 6), &g, &f].concat());
    for strange in [
        &[&begins(3, 6)[..], &f, &g][..],
        &[&begins(3, 6), &f, &of(3.0, b"f")],
        &[&begins(3, 6), &of(f64::NAN, b"f")],
    ] {
        assert!(!is_read(&head, strange), "{strange:?}");
    }
}
