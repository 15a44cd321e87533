//! What a plan says of a fault, apart from its kind.
//!
//! Invariant: arguments that were checked are those that their kind takes.

use super::{
    ClockChange, CutMode, DiskTrouble, FileDamage, LinkEffect, RareOperations, Scarce, Shape, Target,
};

/// What a kind of fault takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    Nothing,
    /// `target`.
    Target,
    /// `shape`, and `mode` if it is not to be drawn.
    Links,
    /// `target` and `trouble`.
    Trouble,
    /// `shape` and `effect`.
    Effect,
    /// `mode`, if it is not to be drawn.
    Mode,
    /// `target` and `operations`.
    Operations,
    /// `target`, `trouble` and `operations`.
    TroubleAt,
    /// `target`, and `change` if it is not to be both a jump and another rate.
    Clocks,
    /// `target`, and `damage` if it is not to be drawn.
    Files,
    /// `target` and `scarce`.
    Scarce,
}

/// Everything that kinds of faults take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Arguments {
    pub(super) target: Option<Target>,
    pub(super) shape: Option<Shape>,
    pub(super) effect: Option<LinkEffect>,
    pub(super) mode: Option<CutMode>,
    pub(super) trouble: Option<DiskTrouble>,
    pub(super) operations: Option<RareOperations>,
    pub(super) change: Option<ClockChange>,
    pub(super) damage: Option<FileDamage>,
    pub(super) scarce: Option<Scarce>,
}

impl Arguments {
    /// Refuses what a kind of this name does not take, and the lack of what it does.
    ///
    /// # Errors
    /// The first key that is wrong.
    pub(super) fn check(&self, name: &str, takes: Takes) -> Result<(), String> {
        let target = matches!(
            takes,
            Takes::Target
                | Takes::Trouble
                | Takes::Operations
                | Takes::TroubleAt
                | Takes::Clocks
                | Takes::Files
                | Takes::Scarce
        );
        let trouble = matches!(takes, Takes::Trouble | Takes::TroubleAt);
        let operations = matches!(takes, Takes::Operations | Takes::TroubleAt);
        let mode = matches!(takes, Takes::Links | Takes::Mode);
        let keys = [
            ("target", self.target.is_some(), target),
            (
                "shape",
                self.shape.is_some(),
                matches!(takes, Takes::Links | Takes::Effect),
            ),
            ("effect", self.effect.is_some(), takes == Takes::Effect),
            ("trouble", self.trouble.is_some(), trouble),
            ("operations", self.operations.is_some(), operations),
            ("scarce", self.scarce.is_some(), takes == Takes::Scarce),
            // May be left out.
            ("mode", self.mode.is_some() && !mode, false),
            ("change", self.change.is_some() && takes != Takes::Clocks, false),
            ("damage", self.damage.is_some() && takes != Takes::Files, false),
        ];
        for (key, given, wanted) in keys {
            match (given, wanted) {
                (false, true) => return Err(format!("missing field `{key}` of a fault of kind `{name}`")),
                (true, false) => return Err(format!("unknown field `{key}` of a fault of kind `{name}`")),
                (true, true) | (false, false) => {}
            }
        }
        Ok(())
    }
}
