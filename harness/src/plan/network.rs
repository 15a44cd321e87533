//! What carries messages between real nodes, and which faults each of the two ways can have.
//!
//! Invariant: a plan that asks for namespaces has no fault that takes a proxy.

use serde::{Deserialize, Serialize};

use super::Plan;
use super::error::{PlanError, require};
use super::fault::FaultPlan;

/// What is between the nodes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Deserialize, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum PeerNetwork {
    /// A proxy for every directed pair. Needs no privileges, and sees frames: it can delay, repeat, damage and hold back single
    /// ones, and tell the two connections of a pair apart.
    #[default]
    Proxies,
    /// A network namespace a node, and a router between them whose packet filter cuts links. Nodes reach each other directly, so
    /// it is the kernel's TCP that meets lost and refused packets, and whatever program runs in a node is cut. Takes the programs
    /// `ip` and `nft`, and root or user namespaces; where it is not possible, the run is refused.
    Namespaces,
    /// Namespaces where they are possible and can have every fault of the plan, otherwise proxies; the run says which, and why.
    Auto,
}

impl PeerNetwork {
    /// Whether it is the one that a plan has when it says nothing.
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Plan {
    /// Why its nodes cannot have a namespace each: what its first such fault is, and what that takes.
    pub fn needs_proxies(&self) -> Option<String> {
        self.first_to_need_proxies()
            .map(|(at, _, why)| format!("its fault {} {why}", self.faults[at].name()))
    }

    pub(super) fn validate_network(&self) -> Result<(), PlanError> {
        match self.first_to_need_proxies() {
            Some((at, key, why)) if self.cluster.network == PeerNetwork::Namespaces => {
                require(false, &format!("fault[{at}].{key}"), || {
                    format!("{why}: it is not possible with `network = \"namespaces\"`")
                })
            }
            Some(_) | None => Ok(()),
        }
    }

    fn first_to_need_proxies(&self) -> Option<(usize, &'static str, &'static str)> {
        let needs = |(at, fault): (usize, &FaultPlan)| fault.needs_proxies().map(|(key, why)| (at, key, why));
        self.faults.iter().enumerate().find_map(needs)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn plan(network: &str, fault: &str) -> Result<Plan, String> {
        let text = format!(
            "version = 1\nname = \"p\"\ntime = \"5s\"\n[cluster]\nnetwork = \"{network}\"\n[[workload]]\nkind = \"log\"\n\
             [[fault]]\n{fault}\nduration = \"1s\"\n"
        );
        Plan::parse(&text, Path::new("p.toml")).map_err(|error| error.to_string())
    }

    #[test]
    fn packets_can_be_cut_lost_and_limited_and_frames_take_proxies() {
        for fault in [
            "kind = \"partition\"\nshape = \"isolate-leader\"\nmode = \"reset\"",
            "kind = \"flap\"\nshape = \"one-way-in\"",
            "kind = \"coup\"",
            "kind = \"link\"\nshape = \"halves\"\neffect = \"loss\"",
            "kind = \"link\"\nshape = \"halves\"\neffect = \"narrow\"",
        ] {
            assert_eq!(
                plan("namespaces", fault).unwrap().needs_proxies(),
                None,
                "{fault}"
            );
        }
        for (fault, key) in [
            ("kind = \"vote-race\"", "fault[0].kind"),
            ("kind = \"roll\"", "fault[0].kind"),
            (
                "kind = \"link\"\nshape = \"halves\"\neffect = \"tear\"",
                "fault[0].effect",
            ),
            ("kind = \"flap\"\nshape = \"leader-first-lane\"", "fault[0].shape"),
        ] {
            let refused = plan("namespaces", fault).unwrap_err();
            assert!(refused.contains(key), "{refused}");
            assert!(plan("auto", fault).unwrap().needs_proxies().is_some(), "{fault}");
        }
    }

    #[test]
    fn a_plan_that_says_nothing_has_proxies_and_stays_silent_about_them() {
        let plan = plan("proxies", "kind = \"kill\"\ntarget = \"one\"").unwrap();
        assert_eq!(plan.cluster.network, PeerNetwork::default());
        assert!(!plan.to_toml().contains("network"));
    }
}
