//! A plan made to fit a system: what the system cannot have is left out, and named with its reason.
//!
//! Invariant: nothing is left out in silence; and a plan of which nothing is left that could be done is refused.

use super::external::External;
use super::file::{Links, System};
use crate::client::Protocol;
use crate::plan::{FaultPlan, Fitted, KindName, PeerNetwork, Plan, PlanError, PowerTier, WorkloadPlan};

/// Makes `plan` fit `system`. `namespaces` says whether each node can have a network namespace, or why not.
///
/// # Errors
///
/// Why nothing of it can be done, or what does not make sense in the plan that is left.
pub fn fit(mut plan: Plan, system: &System, namespaces: Result<(), String>) -> Result<Fitted, PlanError> {
    let mut left_out = Vec::new();
    let nodes = system.external.as_ref().map(|external| external.addresses.len());
    if let Some(nodes) = nodes
        .or(system.nodes)
        .filter(|nodes| *nodes != plan.cluster.nodes)
    {
        left_out.push(format!(
            "{} nodes, as the system says, not the {} of the plan",
            nodes, plan.cluster.nodes
        ));
        plan.cluster.nodes = nodes;
        plan.nemesis.impaired_max = plan.nemesis.impaired_max.map(|max| max.min(nodes));
    }
    workloads(&mut plan, system, &mut left_out);
    if plan.workloads.is_empty() {
        let served: Vec<&str> = system.workloads.iter().map(String::as_str).collect();
        return Err(PlanError::Invalid {
            key: "workload".to_owned(),
            why: format!("is none that {} can serve: {}", system.name, served.join(", ")),
        });
    }
    faults(&mut plan, system, &namespaces, &mut left_out);
    let clients = &mut plan.clients;
    for (key, asked) in [
        ("pipelines", &mut clients.pipelines),
        ("commands", &mut clients.commands),
        ("stale", &mut clients.stale),
        ("transactions", &mut clients.transactions),
        ("retries", &mut clients.retries),
    ] {
        if std::mem::take(asked) > 0 {
            left_out.push(format!("clients.{key}: they are clients of noraftd"));
        }
    }
    clients.elsewhere_permille = 0;
    plan.validate()?;
    Ok(Fitted { plan, left_out })
}

fn workloads(plan: &mut Plan, system: &System, left_out: &mut Vec<String>) {
    plan.workloads.retain_mut(|workload| {
        let name = workload.name();
        if !system.workloads.contains(name) {
            left_out.push(format!("workload {name}: {} does not serve it", system.name));
            return false;
        }
        match workload {
            WorkloadPlan::Register(register) if register.cas > 0 && system.lacks.contains("cas") => {
                left_out.push(format!("operation cas of {name}: {} has none", system.name));
                register.cas = 0;
                register.read + register.write > 0
            }
            WorkloadPlan::Register(_)
            | WorkloadPlan::Log(_)
            | WorkloadPlan::Set(_)
            | WorkloadPlan::Counter(_)
            | WorkloadPlan::ListAppend(_)
            | WorkloadPlan::Bank(_) => true,
        }
    });
}

fn faults(plan: &mut Plan, system: &System, namespaces: &Result<(), String>, left_out: &mut Vec<String>) {
    let nodes = plan.cluster.nodes;
    plan.faults.retain(|fault| {
        let obstacle = if fault.fits(nodes) {
            obstacle(fault, system, namespaces)
        } else {
            Some(format!("it takes more than {nodes} nodes"))
        };
        if let Some(why) = &obstacle {
            left_out.push(format!("fault {}: {why}", fault.name()));
        }
        obstacle.is_none()
    });
    plan.limits.optional.retain(|kind| {
        let is_left = |fault: &FaultPlan| fault.kind().name() == kind;
        plan.faults.iter().any(is_left)
    });
    let is_any = |kinds: &[KindName]| plan.faults.iter().any(|fault| kinds.contains(&fault.kind()));
    let (cuts_power, of_links) = (is_any(&[KindName::Power]), is_any(&OF_LINKS));
    plan.cluster.power = cuts_power.then_some(PowerTier::Ext4);
    if system.needs_namespaces() {
        plan.cluster.network = match of_links {
            true => PeerNetwork::Namespaces,
            false => PeerNetwork::Proxies,
        };
    }
}

/// Why a system cannot have this fault.
fn obstacle(fault: &FaultPlan, system: &System, namespaces: &Result<(), String>) -> Option<String> {
    match (&system.external, fault.kind()) {
        (Some(external), kind) => obstacle_elsewhere(kind, external),
        (None, KindName::Kill | KindName::Pause | KindName::Restart | KindName::Power) => None,
        (None, KindName::Partition | KindName::Flap | KindName::Coup | KindName::Link) => {
            obstacle_of_links(fault, system, namespaces)
        }
        (None, KindName::Clock | KindName::Disk) => Some(NO_SUCH_COMMAND.to_owned()),
        (None, kind) => Some(of_noraftd(kind)),
    }
}

/// Proxies tell frames and lanes of noraftd apart, of others they carry bytes; the packet filter between namespaces knows packets.
fn obstacle_of_links(fault: &FaultPlan, system: &System, namespaces: &Result<(), String>) -> Option<String> {
    let is_of_frames = fault.needs_proxies().map(|(_, why)| why.to_owned());
    match system.links {
        Links::Proxies if system.client == Protocol::Noraftd => None,
        Links::Proxies if fault.kind() == KindName::Link => {
            Some("proxies know the frames of noraftd only".to_owned())
        }
        Links::Proxies => is_of_frames,
        Links::Direct => is_of_frames.or_else(|| {
            let why = namespaces.as_ref().err()?;
            Some(format!(
                "its nodes connect to each other directly, and cannot have a network namespace each: {why}"
            ))
        }),
    }
}

fn obstacle_elsewhere(kind: KindName, external: &External) -> Option<String> {
    let has = |commands: &[bool]| commands.iter().all(|is_given| *is_given);
    let is_possible = match kind {
        KindName::Kill => has(&[external.kill.is_some()]),
        KindName::Pause => has(&[external.pause.is_some()]),
        KindName::Partition => has(&[external.cut.is_some()]),
        KindName::Coup => has(&[external.pause.is_some(), external.cut.is_some()]),
        KindName::Clock => has(&[external.clock.is_some()]),
        KindName::Disk => has(&[external.disk.is_some()]),
        KindName::Restart | KindName::Flap | KindName::Power => false,
        kind => return Some(of_noraftd(kind)),
    };
    (!is_possible).then(|| NO_SUCH_COMMAND.to_owned())
}

fn of_noraftd(kind: KindName) -> String {
    format!("{} reaches into noraftd", kind.name())
}

const OF_LINKS: [KindName; 4] = [
    KindName::Partition,
    KindName::Flap,
    KindName::Coup,
    KindName::Link,
];
const NO_SUCH_COMMAND: &str = "the system's file has no command for it";

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn plan(rest: &str) -> Plan {
        let text = format!("version = 1\nname = \"p\"\ntime = \"5s\"\n{rest}");
        Plan::parse(&text, Path::new("p.toml")).unwrap()
    }

    fn system(keys: &str, rest: &str) -> System {
        let text = format!(
            "version = 1\nname = \"s\"\nclient = \"redis\"\nworkloads = [\"register\", \"set\"]\n{keys}\n\
             [ports]\nclient = 1\npeer = 2\n{rest}"
        );
        System::parse(&text, Path::new("s.toml")).unwrap()
    }

    fn bare(plan: Plan, system: &System) -> Fitted {
        fit(plan, system, Err("no root".to_owned())).unwrap()
    }

    const PROCESS: &str = "[[process]]\nprogram = \"x\"\n";

    const MIXED: &str = r#"
        [[workload]]
        kind = "register"
        [[workload]]
        kind = "log"
        [[fault]]
        kind = "kill"
        target = "majority"
        duration = "1s"
        [[fault]]
        kind = "partition"
        shape = "halves"
        duration = "1s"
        [[fault]]
        kind = "vote-race"
        duration = "1s"
        [[fault]]
        kind = "power"
        target = "all"
        duration = "1s"
        [limits]
        optional = ["vote-race", "kill"]
    "#;

    fn kinds(fitted: &Fitted) -> Vec<&'static str> {
        fitted
            .plan
            .faults
            .iter()
            .map(|fault| fault.kind().name())
            .collect()
    }

    #[test]
    fn what_a_system_cannot_have_is_left_out_with_its_reason() {
        let fitted = bare(plan(MIXED), &system("", PROCESS));
        assert_eq!(kinds(&fitted), ["kill", "power"]);
        assert_eq!(
            fitted.left_out,
            [
                "workload log: s does not serve it",
                "fault partition-halves: its nodes connect to each other directly, and cannot have a network namespace each: no root",
                "fault vote-race: vote-race reaches into noraftd",
            ]
        );
        assert_eq!(fitted.plan.cluster.power, Some(PowerTier::Ext4));
        assert_eq!(fitted.plan.limits.optional, ["kill"]);
        let in_namespaces = fit(plan(MIXED), &system("", PROCESS), Ok(())).unwrap();
        assert_eq!(kinds(&in_namespaces), ["kill", "partition", "power"]);
        assert_eq!(in_namespaces.plan.cluster.network, PeerNetwork::Namespaces);
        let with_proxies = bare(plan(MIXED), &system("links = \"proxies\"", PROCESS));
        assert_eq!(kinds(&with_proxies), ["kill", "partition", "power"]);
    }

    #[test]
    fn a_system_of_one_node_has_the_faults_of_one_node() {
        let fitted = bare(plan(MIXED), &system("nodes = 1\nlacks = [\"cas\"]", PROCESS));
        assert_eq!(fitted.plan.cluster.nodes, 1);
        assert!(
            fitted
                .left_out
                .iter()
                .any(|left| left.starts_with("1 nodes, as the system says"))
        );
        assert!(
            fitted
                .left_out
                .iter()
                .any(|left| left == "operation cas of register: s has none")
        );
        let WorkloadPlan::Register(register) = &fitted.plan.workloads[0] else {
            panic!("{:?}", fitted.plan.workloads);
        };
        assert_eq!(register.cas, 0);
    }

    #[test]
    fn a_cluster_elsewhere_has_the_faults_that_it_has_commands_for() {
        let external = "[external]\naddresses = [\"10.0.0.1\", \"10.0.0.2\"]\nstart = \"x\"\nkill = \"x\"\n";
        let fitted = bare(plan(MIXED), &system("", external));
        assert_eq!(fitted.plan.cluster.nodes, 2);
        assert_eq!(kinds(&fitted), ["kill"]);
        assert!(
            fitted
                .left_out
                .contains(&"fault power-all: the system's file has no command for it".to_owned()),
            "{:?}",
            fitted.left_out
        );
    }

    #[test]
    fn a_plan_without_a_workload_that_is_served_is_refused() {
        let error = fit(
            plan("[[workload]]\nkind = \"log\"\n"),
            &system("", PROCESS),
            Ok(()),
        )
        .unwrap_err();
        assert_eq!(
            error.to_string(),
            "plan: `workload` is none that s can serve: register, set"
        );
    }
}
