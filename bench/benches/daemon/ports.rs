//! Ports for the servers.
//!
//! Invariant: below the range that the kernel hands out to outgoing connections, so that a node that is
//! restarted finds its port free again.

use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;

/// Finds `count` ports that nothing is bound to.
///
/// # Errors
///
/// When the range holds too few.
pub(crate) fn free_ports(count: usize, taken: &mut Vec<u16>) -> Result<Vec<u16>, String> {
    let width = u32::from(PORTS.end - PORTS.start);
    let offset = std::process::id().wrapping_mul(SPREAD) % width;
    let mut found = Vec::new();
    for step in 0..width {
        if found.len() == count {
            return Ok(found);
        }
        let at = u16::try_from((offset + step) % width).expect("below a width of 16 bits");
        let port = PORTS.start + at;
        if !taken.contains(&port) && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            taken.push(port);
            found.push(port);
        }
    }
    Err(format!("no {count} free ports in {PORTS:?}"))
}

/// Below 32768, where Linux begins to hand out ports.
const PORTS: Range<u16> = 21_000..31_000;

/// Runs that start one after the other look at different places first.
const SPREAD: u32 = 61;
