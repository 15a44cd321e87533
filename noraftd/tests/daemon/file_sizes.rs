//! Real nodes, and files that are larger than may be, or none.

use std::process::Command;

use crate::support::node::Node;
use crate::support::program::complaint_of;

#[test]
fn a_limit_of_file_sizes_is_an_error_with_a_message() {
    let dir = tempfile::tempdir().expect("a directory");
    let serve = format!(
        "ulimit -f 1000; exec {} serve --id 1 --data-dir {} --listen 127.0.0.1:0",
        env!("CARGO_BIN_EXE_noraftd"),
        dir.path().join("data").display()
    );
    let ended = Command::new("sh").args(["-c", &serve]).output().expect("a shell");
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(73), "{said}");
    assert!(said.contains("segment-0000000000000001"), "{said}");
}

#[test]
fn a_file_larger_than_any_segment_is_not_read_into_memory() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut node = Node::alone(dir.path());
    node.start();
    assert_eq!(node.stop(), Some(0));
    let data = node.dir.join("data");
    let file = std::fs::File::create(data.join("segment-0000000000000003")).expect("a file");
    file.set_len(100 << 30).expect("a sparse file");
    let (code, said) = node.start_expecting_refusal();
    assert_eq!(code, Some(74), "{said}");
    assert!(said.contains("no segment has more than"), "{said}");
    let (_, said) = complaint_of(&["inspect", &data.display().to_string()]);
    assert!(said.contains("no segment has more than"), "{said}");
}

#[test]
fn a_directory_in_the_place_of_a_file_is_named() {
    for name in ["genesis", "incarnations", "starts"] {
        let dir = tempfile::tempdir().expect("a directory");
        let mut node = Node::alone(dir.path());
        node.start();
        assert_eq!(node.stop(), Some(0));
        let file = node.dir.join("data").join(name);
        std::fs::remove_file(&file).expect("a file");
        std::fs::create_dir(&file).expect("a directory");
        let (code, said) = node.start_expecting_refusal();
        assert_eq!(code, Some(74), "{said}");
        assert!(said.contains(&file.display().to_string()), "{said}");
    }
}
