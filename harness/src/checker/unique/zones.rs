//! Zones of paths, and an instant for each.
//!
//! Invariant: times are positions plus one, so that 0 lies before everything.

/// A path of clusters and its zone.
#[derive(Clone, Copy)]
pub(super) struct Path {
    pub(super) head: u32,
    pub(super) f: u32,
    pub(super) f_op: u32,
    pub(super) s: u32,
    pub(super) s_op: u32,
}

/// Two paths that exclude each other.
pub(super) enum Clash {
    Overlap(Path, Path),
    Inside(Path, Path),
}

/// Step 6: gives each path an instant: a forward zone its end, a backward zone its begin, or the end
/// of the forward zone in which it begins.
pub(super) fn place(paths: &[Path]) -> Result<Vec<u32>, Clash> {
    let mut forward: Vec<(u32, u32)> = (0..)
        .zip(paths)
        .filter(|(_, path)| path.f < path.s)
        .map(|(i, path)| (path.f, i))
        .collect();
    forward.sort_unstable();
    for pair in forward.windows(2) {
        let (one, other) = (&paths[pair[0].1 as usize], &paths[pair[1].1 as usize]);
        if other.f < one.s {
            return Err(Clash::Overlap(*one, *other));
        }
    }
    let mut instants = Vec::with_capacity(paths.len());
    for (i, path) in (0_u32..).zip(paths) {
        if path.f < path.s {
            instants.push((path.s, false, i));
            continue;
        }
        let before = forward.partition_point(|(f, _)| *f < path.s);
        let around = before.checked_sub(1).map(|at| &paths[forward[at].1 as usize]);
        match around.filter(|zone| path.s < zone.s) {
            Some(zone) if path.f < zone.s => return Err(Clash::Inside(*zone, *path)),
            Some(zone) => instants.push((zone.s, true, i)),
            None => instants.push((path.s, true, i)),
        }
    }
    instants.sort_unstable();
    Ok(instants.into_iter().map(|(_, _, i)| i).collect())
}
