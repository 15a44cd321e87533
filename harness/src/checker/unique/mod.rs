//! Registers in which every value is written at most once: exact, O(n log n), with the witness.
//!
//! Operations that write or see one value form a cluster. A successful compare-and-set continues the
//! cluster of the value it expects, so clusters form paths, and a path is contiguous in any order.
//! Let `f` be the first return and `s` the last call in a path. If f < s the register held the path's
//! values throughout [f, s] (a forward zone), otherwise at some instant of [s, f] (a backward zone).
//! An order exists iff no two forward zones overlap and no backward zone lies inside a forward one
//! (after Gibbons & Korach, Testing Shared Memories, 1997, extended to compare-and-set).
//!
//! Operations of unknown outcome: those whose value was never seen are dropped, the others happened.
//! A violation names two clusters, hence at most four operations.

use super::register::RegisterOp;
use super::verdict::{Exhausted, Verdict};
use super::violation::Violation;
use crate::model::Call;
use crate::recording::budget::{Budget, Limit};
use crate::recording::datum::Datum;
use crate::recording::hash::FastMap;

mod zones;

use super::violation::{Contradiction, Effect, RegisterViolation, Zone};
use zones::{Clash, Path, place};

/// Decides `calls`, all of one register; `None` when some value is written more than once or an
/// operation only says what it did not see.
pub fn check(initial: Datum, calls: &[Call<RegisterOp>], budget: &Budget) -> Option<Verdict> {
    let mut meter = budget.meter();
    let worst_bytes = calls.len() * (size_of::<Cluster>() + 2 * size_of::<Path>() + 2 * 24 + 4);
    if let Err(limit) = meter.hold(worst_bytes).and_then(|()| budget.check_cancelled()) {
        return Some(exhausted(limit, calls));
    }
    let mut clusters = Clusters::collect(initial, calls)?;
    Some(match clusters.decide() {
        Ok(witness) => Verdict::Valid(witness),
        Err(contradiction) => {
            let effects = clusters.effects(&contradiction);
            Verdict::Invalid(Violation::Register(RegisterViolation {
                contradiction,
                effects,
            }))
        }
    })
}

fn exhausted(limit: Limit, calls: &[Call<RegisterOp>]) -> Verdict {
    Verdict::Unknown(Exhausted {
        limit,
        decided: 0,
        total: calls.len() as u32,
    })
}

/// No cluster, no operation.
const NONE: u32 = u32::MAX;
/// Cluster of the initial value.
const INITIAL: u32 = 0;

/// A value, the operation that wrote it, and the time in which it was seen. Times are positions plus one, so that 0
/// lies before everything.
#[derive(Clone, Copy)]
struct Cluster {
    writer: u32,
    /// First return and who; last call and who.
    f: u32,
    f_op: u32,
    s: u32,
    s_op: u32,
    /// Cluster whose value the writer expects, if it is a compare-and-set.
    expects: u32,
    next: u32,
    /// A returned operation that saw this value, or one made from it; [`NONE`] when it is not needed.
    seen_by: u32,
}

struct Clusters<'a> {
    calls: &'a [Call<RegisterOp>],
    of_value: FastMap<Datum, u32>,
    all: Vec<Cluster>,
    /// Cluster of each call: of the value it wrote, or else read.
    home: Vec<u32>,
}

impl<'a> Clusters<'a> {
    /// One cluster a written value; `None` when a value is written twice.
    fn collect(initial: Datum, calls: &'a [Call<RegisterOp>]) -> Option<Self> {
        let writes = calls.iter().filter(|call| written(&call.op).is_some()).count();
        let mut of_value = FastMap::with_capacity_and_hasher(writes + 1, Default::default());
        let mut all = Vec::with_capacity(writes + 1);
        of_value.insert(initial, INITIAL);
        all.push(Cluster::new(NONE));
        all[0].f = 0;
        let mut home = vec![INITIAL; calls.len()];
        for (i, call) in calls.iter().enumerate() {
            if matches!(call.op, RegisterOp::Differs(_)) {
                return None;
            }
            if let Some(value) = written(&call.op) {
                let id = all.len() as u32;
                if of_value.insert(value, id).is_some() {
                    return None;
                }
                all.push(Cluster::new(i as u32));
                home[i] = id;
            }
        }
        Some(Self {
            calls,
            of_value,
            all,
            home,
        })
    }

    fn decide(&mut self) -> Result<Vec<u32>, Contradiction> {
        self.observe()?;
        self.close_needs()?;
        self.link()?;
        // The largest table is not needed any more, and the witness needs room.
        self.of_value = FastMap::default();
        let paths = self.paths()?;
        let order = place(&paths).map_err(|clash| self.name_clash(clash))?;
        Ok(self.witness(&paths, &order))
    }

    /// Step 1: every value that was seen needs a writer, called before the value was seen.
    fn observe(&mut self) -> Result<(), Contradiction> {
        for (i, call) in self.calls.iter().enumerate() {
            match call.op {
                RegisterOp::Read(value) if !call.is_open() => {
                    let id = self.find(value, call.id)?;
                    self.home[i] = id;
                    self.all[id as usize].seen_by = i as u32;
                    self.all[id as usize].include(i as u32, call);
                }
                RegisterOp::Cas(expected, _) if !call.is_open() => {
                    let id = self.find(expected, call.id)?;
                    self.all[id as usize].seen_by = i as u32;
                }
                RegisterOp::Read(_) | RegisterOp::Differs(_) | RegisterOp::Write(_) | RegisterOp::Cas(..) => {
                }
            }
        }
        Ok(())
    }

    fn find(&self, value: Datum, reader: u32) -> Result<u32, Contradiction> {
        self.of_value
            .get(&value)
            .copied()
            .ok_or(Contradiction::Garbage { read: reader })
    }

    /// Step 2: a compare-and-set of unknown outcome whose result is needed did happen, so the value
    /// it expects is needed too. Others of unknown outcome are dropped.
    fn close_needs(&mut self) -> Result<(), Contradiction> {
        for start in 1..self.all.len() {
            let mut at = start;
            while let Some(call) = self.needed_open_cas(at) {
                let RegisterOp::Cas(expected, _) = call.op else {
                    break;
                };
                let id = self.find(expected, call.id)? as usize;
                if self.all[id].seen_by != NONE {
                    break;
                }
                self.all[id].seen_by = self.all[at].seen_by;
                at = id;
            }
        }
        Ok(())
    }

    fn needed_open_cas(&self, id: usize) -> Option<&'a Call<RegisterOp>> {
        let cluster = &self.all[id];
        if cluster.seen_by == NONE || cluster.writer == NONE {
            return None;
        }
        // A needed open write ends the chase as well: it expects nothing.
        Some(&self.calls[cluster.writer as usize]).filter(|call| call.is_open())
    }

    fn is_kept(&self, cluster: &Cluster) -> bool {
        cluster.writer == NONE || cluster.seen_by != NONE || !self.calls[cluster.writer as usize].is_open()
    }

    /// Steps 3 and 4: add writers to their clusters and link expected values to results.
    fn link(&mut self) -> Result<(), Contradiction> {
        for id in 1..self.all.len() {
            let cluster = self.all[id];
            if !self.is_kept(&cluster) {
                continue;
            }
            let writer = &self.calls[cluster.writer as usize];
            if cluster.f_op != NONE && cluster.f <= writer.call {
                let read = self.calls[cluster.f_op as usize].id;
                return Err(Contradiction::Future {
                    read,
                    writer: writer.id,
                });
            }
            self.all[id].include(cluster.writer, writer);
            if let RegisterOp::Cas(expected, _) = writer.op {
                let before = self.find(expected, writer.id)?;
                self.all[id].expects = before;
                let taken = std::mem::replace(&mut self.all[before as usize].next, id as u32);
                if taken != NONE {
                    let other = self.calls[self.all[taken as usize].writer as usize].id;
                    return Err(Contradiction::LostUpdate {
                        one: other,
                        other: writer.id,
                    });
                }
            }
        }
        Ok(())
    }

    /// Step 5: walk each path; what belongs to a later value must not return before something of an
    /// earlier value is called.
    fn paths(&self) -> Result<Vec<Path>, Contradiction> {
        let mut paths = Vec::new();
        let mut walked = 0;
        let mut kept = 0;
        for (id, cluster) in self
            .all
            .iter()
            .enumerate()
            .filter(|(_, cluster)| self.is_kept(cluster))
        {
            kept += 1;
            if cluster.expects == NONE {
                let (path, length) = self.walk(id as u32)?;
                paths.push(path);
                walked += length;
            }
        }
        if walked < kept {
            Err(self.cycle())
        } else {
            Ok(paths)
        }
    }

    fn walk(&self, head: u32) -> Result<(Path, usize), Contradiction> {
        let first = &self.all[head as usize];
        let mut path = Path {
            head,
            f: first.f,
            f_op: first.f_op,
            s: first.s,
            s_op: first.s_op,
        };
        let mut length = 1;
        let mut at = first.next;
        while at != NONE {
            let cluster = &self.all[at as usize];
            if cluster.f < path.s {
                let id = |i: u32| self.calls[i as usize].id;
                return Err(Contradiction::PathOrder {
                    earlier: id(path.s_op),
                    later: id(cluster.f_op),
                });
            }
            if cluster.f < path.f {
                (path.f, path.f_op) = (cluster.f, cluster.f_op);
            }
            if cluster.s > path.s {
                (path.s, path.s_op) = (cluster.s, cluster.s_op);
            }
            length += 1;
            at = cluster.next;
        }
        Ok((path, length))
    }

    /// Every cluster on a cycle has a predecessor; stepping back from a kept cluster that no path
    /// reaches stays on or enters the cycle.
    fn cycle(&self) -> Contradiction {
        let mut reached = vec![false; self.all.len()];
        for (id, cluster) in self.all.iter().enumerate() {
            let mut at = if cluster.expects == NONE { id as u32 } else { NONE };
            while at != NONE {
                reached[at as usize] = true;
                at = self.all[at as usize].next;
            }
        }
        let on_cycle = (0..self.all.len())
            .find(|id| !reached[*id] && self.is_kept(&self.all[*id]))
            .expect("a kept cluster was not walked");
        let before = &self.all[self.all[on_cycle].expects as usize];
        let id = |cluster: &Cluster| self.calls[cluster.writer as usize].id;
        Contradiction::Cycle {
            one: id(&self.all[on_cycle]),
            other: id(before),
        }
    }

    /// Who shows that the named operations of unknown outcome took effect: one of the other named ones
    /// where that is possible, so that the explanation stays short.
    fn effects(&self, contradiction: &Contradiction) -> Vec<Effect> {
        let find = |op: &u32| self.calls.iter().position(|call| call.id == *op);
        let named: Vec<usize> = contradiction.operations().iter().filter_map(find).collect();
        let mut effects = Vec::new();
        for at in named.iter().copied().filter(|at| self.calls[*at].is_open()) {
            let home = self.home[at];
            let anyone = self.all[home as usize].seen_by;
            let witness = named.iter().copied().find(|other| self.shows(*other, home));
            let seen_by = witness.map_or(anyone, |other| other as u32);
            if seen_by != NONE {
                effects.push(Effect {
                    op: self.calls[at].id,
                    seen_by: self.calls[seen_by as usize].id,
                });
            }
        }
        effects
    }

    /// True when call `at` returned and saw the value of `cluster`, or one made from it.
    fn shows(&self, at: usize, cluster: u32) -> bool {
        const STEPS_MAX: usize = 1000;
        let call = &self.calls[at];
        let mut seen = match call.op {
            RegisterOp::Read(_) => self.home[at],
            RegisterOp::Cas(..) => self.all[self.home[at] as usize].expects,
            RegisterOp::Write(_) | RegisterOp::Differs(_) => NONE,
        };
        for _ in 0..STEPS_MAX {
            if call.is_open() || seen == NONE || seen == cluster {
                break;
            }
            seen = self.all[seen as usize].expects;
        }
        !call.is_open() && seen == cluster
    }

    fn name_clash(&self, clash: Clash) -> Contradiction {
        let id = |op: u32| (op != NONE).then(|| self.calls[op as usize].id);
        let zone = |path: Path| Zone {
            first: id(path.f_op),
            last: id(path.s_op),
        };
        match clash {
            Clash::Overlap(one, other) => Contradiction::Overlap {
                one: zone(one),
                other: zone(other),
            },
            Clash::Inside(outer, inner) => Contradiction::Inside {
                outer: zone(outer),
                inner: zone(inner),
            },
        }
    }

    /// Paths in order; in a path its values in order; of a value the writer, then readers by call.
    fn witness(&self, paths: &[Path], order: &[u32]) -> Vec<u32> {
        let mut next_slot = vec![NONE; self.all.len()];
        let mut readers = vec![0_u32; self.all.len()];
        for (call, home) in self.calls.iter().zip(&self.home) {
            readers[*home as usize] += u32::from(!call.is_open() && is_read(&call.op));
        }
        let mut length = 0;
        for path in order {
            let mut at = paths[*path as usize].head;
            while at != NONE {
                next_slot[at as usize] = length;
                length += readers[at as usize] + u32::from(self.all[at as usize].writer != NONE);
                at = self.all[at as usize].next;
            }
        }
        self.fill(length, next_slot)
    }

    /// Puts every kept operation into the slots of its cluster; the first slot is the writer's.
    fn fill(&self, length: u32, mut next_slot: Vec<u32>) -> Vec<u32> {
        let mut witness = vec![NONE; length as usize];
        for (slot, cluster) in next_slot.iter_mut().zip(&self.all) {
            if *slot != NONE && cluster.writer != NONE {
                witness[*slot as usize] = self.calls[cluster.writer as usize].id;
                *slot += 1;
            }
        }
        for (call, home) in self.calls.iter().zip(&self.home) {
            if is_read(&call.op) && !call.is_open() {
                let slot = &mut next_slot[*home as usize];
                witness[*slot as usize] = call.id;
                *slot += 1;
            }
        }
        witness
    }
}

impl Cluster {
    fn new(writer: u32) -> Self {
        Self {
            writer,
            f: u32::MAX,
            f_op: NONE,
            s: 0,
            s_op: NONE,
            expects: NONE,
            next: NONE,
            seen_by: NONE,
        }
    }

    fn include(&mut self, i: u32, call: &Call<RegisterOp>) {
        let f = call.ret.saturating_add(1);
        if f < self.f {
            (self.f, self.f_op) = (f, i);
        }
        let s = call.call + 1;
        if s > self.s {
            (self.s, self.s_op) = (s, i);
        }
    }
}

fn written(op: &RegisterOp) -> Option<Datum> {
    match *op {
        RegisterOp::Write(value) | RegisterOp::Cas(_, value) => Some(value),
        RegisterOp::Read(_) | RegisterOp::Differs(_) => None,
    }
}

fn is_read(op: &RegisterOp) -> bool {
    matches!(op, RegisterOp::Read(_))
}
