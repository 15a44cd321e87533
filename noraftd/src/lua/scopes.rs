//! Which variable a name is: local, of a function around, or global.
//!
//! Invariant: a function that is being parsed has a scope here; places of blocks that have ended are used again.

use bytes::Bytes;

use super::ast::{Block, Body, Expr, Place, Source};

/// The functions that are being parsed, the innermost last.
#[derive(Debug, Default)]
pub(super) struct Scopes(Vec<Scope>);

#[derive(Debug, Default)]
struct Scope {
    active: Vec<(Bytes, Place)>,
    slots: usize,
    captured: Vec<bool>,
    upvalues: Vec<(Bytes, Source)>,
    has_rest: bool,
    loops: usize,
}

impl Scopes {
    /// A function begins.
    pub(super) fn open(&mut self, has_rest: bool) {
        self.0.push(Scope {
            has_rest,
            ..Scope::default()
        });
    }

    /// It ends.
    pub(super) fn close(&mut self, parameters: Vec<Place>, block: Block) -> Body {
        let scope = self.0.pop().unwrap_or_default();
        Body {
            parameters,
            is_vararg: scope.has_rest,
            slots: scope.slots,
            captured: scope.captured,
            upvalues: scope.upvalues.into_iter().map(|(_, source)| source).collect(),
            block,
        }
    }

    fn innermost(&mut self) -> &mut Scope {
        self.0.last_mut().expect("a text is a function")
    }

    /// Where [`Self::end_block`] goes back to.
    pub(super) fn begin_block(&mut self) -> usize {
        self.innermost().active.len()
    }

    pub(super) fn end_block(&mut self, mark: usize) {
        self.innermost().active.truncate(mark);
    }

    pub(super) fn begin_loop(&mut self) {
        self.innermost().loops += 1;
    }

    pub(super) fn end_loop(&mut self) {
        self.innermost().loops -= 1;
    }

    pub(super) fn is_in_loop(&mut self) -> bool {
        self.innermost().loops > 0
    }

    /// The function has `...`.
    pub(super) fn take_rest(&mut self) {
        self.innermost().has_rest = true;
    }

    pub(super) fn has_rest(&mut self) -> bool {
        self.innermost().has_rest
    }

    /// A new local variable; `None` when there are too many.
    pub(super) fn declare(&mut self, name: Bytes) -> Option<Place> {
        let scope = self.innermost();
        let slot = scope.active.len();
        let place = Place {
            slot,
            declaration: scope.captured.len(),
        };
        scope.slots = scope.slots.max(slot + 1);
        scope.captured.push(false);
        scope.active.push((name, place));
        (slot < LOCALS_MAX).then_some(place)
    }

    /// What the name is, which is on this line.
    pub(super) fn resolve(&mut self, name: Bytes, line: u32) -> Expr {
        let innermost = self.0.len() - 1;
        match self.find(innermost, &name) {
            Some(Source::Local(slot)) => Expr::Local(slot, name),
            Some(Source::Upvalue(at)) => Expr::Upvalue(at, name),
            None => Expr::Global(name, line),
        }
    }

    fn find(&mut self, level: usize, name: &Bytes) -> Option<Source> {
        let scope = self.0.get(level)?;
        if let Some((_, place)) = scope.active.iter().rev().find(|(other, _)| other == name) {
            return Some(Source::Local(place.slot));
        }
        let outside = level.checked_sub(1)?;
        let source = self.find(outside, name)?;
        if let (Source::Local(slot), Some(scope)) = (source, self.0.get_mut(outside)) {
            let mut found = scope.active.iter().rev();
            if let Some((_, place)) = found.find(|(_, place)| place.slot == slot) {
                let declaration = place.declaration;
                scope
                    .captured
                    .get_mut(declaration)
                    .map(|captured| *captured = true)?;
            }
        }
        let scope = self.0.get_mut(level)?;
        let known = scope.upvalues.iter().position(|(other, held)| {
            let is_same = match (held, source) {
                (Source::Local(one), Source::Local(other)) => *one == other,
                (Source::Upvalue(one), Source::Upvalue(other)) => *one == other,
                (Source::Local(_) | Source::Upvalue(_), _) => false,
            };
            is_same && other == name
        });
        let at = known.unwrap_or_else(|| {
            scope.upvalues.push((name.clone(), source));
            scope.upvalues.len() - 1
        });
        Some(Source::Upvalue(at))
    }
}

/// As in Lua.
const LOCALS_MAX: usize = 200;
