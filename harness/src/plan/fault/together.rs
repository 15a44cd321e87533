//! Which kinds of faults real processes can have in one plan.
//!
//! Invariant: a kind that needs something of the cluster (a shadow store, a clock that can be set) finds it.

use super::KindName;
use crate::plan::error::{PlanError, require};
use crate::plan::{Plan, PowerTier};

/// Refuses what excludes each other.
///
/// # Errors
///
/// The first key that is wrong.
pub(in crate::plan) fn agree(plan: &Plan) -> Result<(), PlanError> {
    let refuse = |is_wrong: bool, key: &str, why: &str| require(!is_wrong, key, || why.to_owned());
    let at = |kind: KindName| {
        let at = plan.faults.iter().position(|fault| fault.kind() == kind);
        format!("fault[{}].kind", at.unwrap_or(0))
    };
    let is_shadow = plan.power_tier() == Some(PowerTier::Shadow);
    let is_ext4 = plan.power_tier() == Some(PowerTier::Ext4);
    refuse(
        plan.has(KindName::Voters) && plan.cluster.nodes <= 2,
        &at(KindName::Voters),
        "voters needs 3 nodes: of two, both stay voters",
    )?;
    refuse(
        plan.has(KindName::Clock) && plan.is_rolled(),
        &at(KindName::Clock),
        "excludes roll: the clock of an old program cannot be set",
    )?;
    refuse(
        plan.has(KindName::Member) && plan.is_rolled(),
        &at(KindName::Member),
        "excludes roll: an old program keeps no membership table",
    )?;
    refuse(
        plan.has(KindName::Disk) && !is_shadow,
        "cluster.power",
        "must be shadow, or absent: only such a disk can be put into trouble",
    )?;
    refuse(
        plan.has(KindName::Damage) && (is_ext4 || plan.is_rolled()),
        &at(KindName::Damage),
        "excludes roll, and power cuts of the ext4 tier",
    )
}

#[cfg(test)]
mod tests {
    use crate::plan::Plan;

    fn refusal(top: &str, kinds: &[&str]) -> Option<String> {
        let mut text =
            format!("version = 1\nname = \"p\"\ntime = \"5s\"\n{top}\n[[workload]]\nkind = \"log\"\n");
        for kind in kinds {
            text += &format!("[[fault]]\nduration = \"1s\"\n{kind}\n");
        }
        let plan = Plan::parse(&text, std::path::Path::new("p.toml")).unwrap();
        plan.for_processes(1).err().map(|error| error.to_string())
    }

    #[test]
    fn kinds_that_need_different_clusters_are_refused_together() {
        let clock = "kind = \"clock\"\ntarget = \"one\"\nchange = \"freeze\"";
        let disk = "kind = \"disk\"\ntarget = \"one\"\ntrouble = \"error\"";
        let damage = "kind = \"damage\"\ntarget = \"one\"";
        let (roll, voters) = ("kind = \"roll\"", "kind = \"voters\"");
        let member = "kind = \"member\"";
        assert_eq!(refusal("", &[clock, disk, damage, voters, member]), None);
        let ext4 = "[cluster]\npower = \"ext4\"";
        for (top, kinds, key) in [
            ("", [roll, clock], "fault[1].kind"),
            ("", [roll, member], "fault[1].kind"),
            (ext4, [clock, disk], "cluster.power"),
            (ext4, [clock, damage], "fault[1].kind"),
            ("", [damage, roll], "fault[0].kind"),
        ] {
            let said = refusal(top, &kinds).unwrap_or_default();
            assert!(said.contains(key), "{kinds:?}: {said}");
        }
        assert!(refusal("[cluster]\nnodes = 2", &[voters]).is_some_and(|said| said.contains("3 nodes")));
    }
}
