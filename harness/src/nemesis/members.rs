//! Members come and go: an operator has machines join, removes members, replaces one by another, and moves one to another address, all with
//! `noraftd member` and `noraftd serve --join`. The level of the cluster is raised first, for there is a membership table from level 1 on.
//!
//! The operator does one thing after the other. What may have been done, or has not come to its end when the fault is over, is brought there
//! before anything else is done, and at the end of the run.
//!
//! Invariant: a change has evidence only when the leader's table says it, and the process of a member that was removed has ended with the exit
//! code of such a one. A machine begins with an empty directory, and is no other fault's meanwhile.

use std::net::SocketAddr;
use std::time::Duration;

use noraftd::local::members::{MemberReport, MembersReport};
use noraftd::prng::Prng;
use tokio::time::{Instant, sleep, timeout};

use super::{Claim, Effect, Evidence, Injection, Nemesis};
use crate::client::own;
use crate::cluster::{Cluster, Node, Standing};
use crate::op::EventKind;

/// What an operator may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Add,
    Remove,
    Replace,
    Move,
}

impl Nemesis {
    /// Changes the membership table, and what follows from it; not while a disk is damaged, for those that are to repair it might be no
    /// members then.
    pub(super) async fn change_members(&self, fault: &mut Injection<'_>) -> Effect {
        let Ok(_voting) = self
            .voting
            .try_lock()
            .map_err(drop)
            .and_then(|voting| voting.is_settled().then_some(voting).ok_or(()))
        else {
            return Effect::prevented("the voters are being changed, or a disk is damaged");
        };
        if self.cluster.nodes().iter().any(|node| self.is_damaged(node)) {
            return Effect::prevented("a disk is damaged");
        }
        let deadline = Instant::now() + fault.duration() + self.bite_max + CHANGE_MAX;
        let changed = self.change(fault.claim, fault.decision.roll, deadline).await;
        self.record(EventKind::FaultOk, fault, changed.as_deref().ok());
        fault.rest().await;
        changed.into()
    }

    async fn change(&self, claim: &Claim, roll: u64, deadline: Instant) -> Evidence {
        let settle = || self.settle(Some(claim), deadline);
        self.begin_table(deadline).await?;
        settle().await?;
        let mut prng = Prng::new(roll).fork(FORK_MEMBERS);
        let before = self.table().await?;
        let shown = match self.draw(&mut prng).ok_or("no machine is there for it")? {
            Step::Add => {
                let node = self.begin_join(claim, &mut prng, false)?;
                settle().await?;
                format!("{} joined", self.named(node))
            }
            Step::Replace => {
                let old = self.take_member(claim, &mut prng, deadline).await?;
                let new = self.begin_join(claim, &mut prng, true)?;
                let shown = self.replace(old, new, deadline).await?;
                settle().await?;
                format!("{} took the place of {shown}, which ended", self.named(new))
            }
            Step::Remove => {
                let node = self.take_member(claim, &mut prng, deadline).await?;
                let shown = format!("{} was removed, and ended", self.named(node));
                self.let_leave(node);
                settle().await?;
                shown
            }
            Step::Move => {
                let node = self.take_member(claim, &mut prng, deadline).await?;
                let from = node.place();
                node.move_on();
                settle().await?;
                format!(
                    "{} moved from {} to {}",
                    self.named(node),
                    at(from),
                    at(node.place())
                )
            }
        };
        let after = self.table().await?;
        Ok(format!(
            "{shown}; the members were {}, and are {}",
            self.listed(&before),
            self.listed(&after)
        ))
    }

    /// One of what is possible, as the members are.
    fn draw(&self, prng: &mut Prng) -> Option<Step> {
        let mut steps = vec![Step::Move];
        if self.spare().next().is_some() {
            steps.extend([Step::Add, Step::Replace, Step::Replace]);
        }
        if self.cluster.members().count() > MEMBERS_MIN {
            steps.push(Step::Remove);
        }
        prng.choose(&steps).copied()
    }

    /// Machines that may join: those that have no part in anything.
    fn spare(&self) -> impl Iterator<Item = &Node> {
        let nodes = self.cluster.nodes().iter();
        nodes.filter(|node| !node.has_part() && self.ledger.is_free(node.id))
    }

    /// Any member that no other fault has in hand, and none will until this one is over.
    async fn take_member(&self, claim: &Claim, prng: &mut Prng, deadline: Instant) -> Result<&Node, String> {
        loop {
            let mut members: Vec<&Node> = self.cluster.members().collect();
            prng.shuffle(&mut members);
            if let Some(node) = members.into_iter().find(|node| self.ledger.hold(claim, node.id)) {
                return Ok(node);
            }
            if Instant::now() > deadline {
                return Err("every member is in the hands of another fault".to_owned());
            }
            sleep(LOOK_AGAIN).await;
        }
    }

    /// A machine that had no part in the cluster asks to be taken in.
    fn begin_join(&self, claim: &Claim, prng: &mut Prng, waits: bool) -> Result<&Node, String> {
        let mut others: Vec<SocketAddr> = self.cluster.members().map(|node| node.door.address).collect();
        prng.shuffle(&mut others);
        let spare: Vec<&Node> = self.spare().collect();
        let node = *prng.choose(&spare).ok_or("no machine is there for it")?;
        if !self.ledger.hold(claim, node.id) {
            return Err(format!("n{} is in the hands of another fault", node.id));
        }
        let begun = self.empty(node).and_then(|()| {
            node.join(others, waits);
            self.cluster.launch(node).map_err(|error| error.to_string())
        });
        // From here on it is a node like any other, which may be killed while it joins.
        self.ledger.let_go(claim, node.id);
        begun.map(|()| node)
    }

    /// The learner takes the place of the voter, once it has caught up; gives which one that was.
    async fn replace(&self, old: &Node, new: &Node, deadline: Instant) -> Evidence {
        let Standing::Member(old_id) = old.standing() else {
            return Err(format!("{} is no member any more", self.named(old)));
        };
        let shown = self.named(old);
        while let Err(why) = self.try_to_replace((old, old_id), new).await {
            if Instant::now() > deadline {
                return Err(format!("n{} is to take the place of {shown}: {why}", new.id));
            }
            sleep(LOOK_AGAIN).await;
        }
        Ok(shown)
    }

    async fn try_to_replace(&self, (old, old_id): (&Node, u64), new: &Node) -> Result<(), String> {
        self.start_if_down(new)?;
        let new_id = self.id_of(new).await?;
        let table = self.table().await?;
        if row(&table, new_id).is_none() {
            return Err(format!("n{} is no member yet", new.id));
        }
        let ids = [old_id, new_id].map(|id| id.to_string());
        // Where it is not known whether it was done, the old one is to go all the same, and the new one to vote.
        // It may hear that it was removed before the order is answered.
        self.let_leave(old);
        match self.order("replace", &[&ids[0], &ids[1]]).await {
            Err(Order::Refused(why)) => {
                old.become_one(Standing::Member(old_id));
                Err(why)
            }
            Err(Order::Unknown(_)) | Ok(()) => Ok(()),
        }
    }

    fn let_leave(&self, node: &Node) {
        if let Some(id) = node.member_id() {
            node.become_one(Standing::Leaving(id));
        }
    }

    /// Raises the level, and waits until the members are written down.
    async fn begin_table(&self, deadline: Instant) -> Result<(), String> {
        while !self.has_table().await {
            let raised = match self.leader().await {
                Ok(leader) => {
                    let address = leader.door.address.to_string();
                    self.run_tool(leader, &["upgrade", &address]).await
                }
                Err(why) => Err(Order::Refused(why)),
            };
            if Instant::now() > deadline {
                let why = raised
                    .err()
                    .map_or_else(String::new, |order| format!(": {order}"));
                return Err(format!("there is no membership table yet{why}"));
            }
            sleep(LOOK_AGAIN).await;
        }
        Ok(())
    }

    /// Whether the members are written down.
    pub(super) async fn has_table(&self) -> bool {
        is_written(&self.cluster).await
    }

    /// At the end of a run: everything comes to its end, and every member votes.
    ///
    /// # Errors
    ///
    /// What does not, within `patience`.
    pub async fn settle_members(&self, patience: Duration) -> Result<(), String> {
        if !self.has_table().await && !self.cluster.is_changing() {
            return Ok(());
        }
        self.settle(None, Instant::now() + patience).await
    }

    /// Brings everything to its end that may have been asked for; where that is not at the end of a run, for the fault of `claim`.
    async fn settle(&self, claim: Option<&Claim>, deadline: Instant) -> Result<(), String> {
        loop {
            let why = match self.try_to_settle(claim).await {
                Ok(()) => return Ok(()),
                Err(why) => why,
            };
            if Instant::now() > deadline {
                return Err(format!("not everything is as it is to be: {why}"));
            }
            sleep(LOOK_AGAIN).await;
        }
    }

    async fn try_to_settle(&self, claim: Option<&Claim>) -> Result<(), String> {
        let table = self.table().await?;
        for node in self.cluster.nodes() {
            match node.standing() {
                Standing::Spare => {}
                Standing::Joining => self.settle_joining(node, &table).await?,
                Standing::Member(id) => self.settle_member(node, id, &table, claim).await?,
                Standing::Leaving(id) => self.settle_leaving(node, id, &table).await?,
            }
        }
        match table.changing {
            true => Err("the configuration is not yet what the table wants".to_owned()),
            false => Ok(()),
        }
    }

    async fn settle_joining(&self, node: &Node, table: &MembersReport) -> Result<(), String> {
        self.start_if_down(node)?;
        let id = self.id_of(node).await?;
        let role = row(table, id).map_or("no member", |row| row.role.as_str());
        match role {
            "voter" => {
                node.become_one(Standing::Member(id));
                Ok(())
            }
            "learner" => {
                self.ask("promote", &[&id.to_string()]).await?;
                Err(format!("n{} was just made a voter", node.id))
            }
            role => Err(format!(
                "n{}, node {id}, does not vote yet: it is {role}",
                node.id
            )),
        }
    }

    async fn settle_member(
        &self,
        node: &Node,
        id: u64,
        table: &MembersReport,
        claim: Option<&Claim>,
    ) -> Result<(), String> {
        let row = row(table, id).ok_or_else(|| format!("n{}, node {id}, is not in the table", node.id))?;
        let id = id.to_string();
        if row.role != "voter" {
            self.ask("promote", &[&id]).await?;
            return Err(format!("n{} was just made a voter", node.id));
        }
        let place = at(node.place());
        if row.peer_address != place {
            self.ask("set-address", &[&id, "--peer", &place]).await?;
            return Err(format!("n{} was just moved to {place}", node.id));
        }
        if !node.has_to_start() {
            return Ok(());
        }
        if !claim.is_none_or(|claim| self.ledger.hold(claim, node.id)) {
            return Err(format!("n{} was not started again yet", node.id));
        }
        if node.process.is_up() {
            node.process.stop().await.map_err(|error| error.to_string())?;
        }
        self.cluster
            .restart(node)
            .await
            .map_err(|error| error.to_string())
    }

    async fn settle_leaving(&self, node: &Node, id: u64, table: &MembersReport) -> Result<(), String> {
        if !table.removed.contains(&id) {
            self.ask("remove", &[&id.to_string()]).await?;
        }
        match node.is_gone() {
            true => Ok(()),
            false => Err(format!(
                "n{}, node {id}, has not ended because it was removed",
                node.id
            )),
        }
    }

    fn start_if_down(&self, node: &Node) -> Result<(), String> {
        if node.process.is_down() && self.ledger.is_free(node.id) {
            self.cluster.launch(node).map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    async fn id_of(&self, node: &Node) -> Result<u64, String> {
        let id = own::id(node.door.address, ANSWER_MAX).await;
        id.ok_or_else(|| format!("n{} has not joined yet", node.id))
    }

    async fn leader(&self) -> Result<&Node, String> {
        let leader = self.cluster.leader().await;
        let leader = leader.and_then(|leader| self.cluster.node(leader));
        leader.ok_or_else(|| "there is no leader".to_owned())
    }

    /// What the leader says.
    async fn table(&self) -> Result<MembersReport, String> {
        let leader = self.leader().await?;
        let table = own::members(leader.door.address, ANSWER_MAX).await;
        let table = table.filter(|table| table.written && table.leader == Some(table.id));
        table.ok_or_else(|| format!("n{} does not say who the members are", leader.id))
    }

    /// An order that does no harm when it is given again.
    async fn ask(&self, verb: &str, rest: &[&str]) -> Result<(), String> {
        self.order(verb, rest)
            .await
            .map_err(|order| format!("{verb}: {order}"))
    }

    async fn order(&self, verb: &str, rest: &[&str]) -> Result<(), Order> {
        let leader = self.leader().await.map_err(Order::Refused)?;
        let address = leader.door.address.to_string();
        self.run_tool(leader, &[&["member", verb, &address], rest].concat())
            .await
    }

    async fn run_tool(&self, node: &Node, words: &[&str]) -> Result<(), Order> {
        let tool = node.process.tool(words.iter().copied());
        let mut tool = tool.ok_or_else(|| Order::Refused("it has no such tool".to_owned()))?;
        let output = timeout(ORDER_MAX, tool.kill_on_drop(true).output());
        let output = output
            .await
            .map_err(|_| Order::Unknown(format!("noraftd {} did not end", words.join(" "))))?
            .map_err(|error| Order::Refused(format!("noraftd: {error}")))?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.lines().last().unwrap_or("it failed").to_owned();
        match said.contains("nothing was done") {
            true => Err(Order::Refused(said)),
            false => Err(Order::Unknown(said)),
        }
    }

    /// The machine, and as which member.
    fn named(&self, node: &Node) -> String {
        match node.standing() {
            Standing::Member(id) | Standing::Leaving(id) => format!("n{} (node {id})", node.id),
            Standing::Joining | Standing::Spare => format!("n{}", node.id),
        }
    }

    /// The members as a table has them.
    fn listed(&self, table: &MembersReport) -> String {
        let shown = table.members.iter().map(|row| {
            let machine = self.cluster.nodes().iter().find(|node| {
                let standing = node.standing();
                [Standing::Member(row.id), Standing::Leaving(row.id)].contains(&standing)
            });
            let machine = machine.map_or_else(String::new, |node| format!(" (n{})", node.id));
            format!("{}{machine} at {}", row.id, row.peer_address)
        });
        shown.collect::<Vec<_>>().join(", ")
    }
}

/// Why an order did not come back as done.
#[derive(Debug)]
enum Order {
    /// Nothing was done.
    Refused(String),
    /// It may have been done, or may yet be.
    Unknown(String),
}

impl std::fmt::Display for Order {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused(why) | Self::Unknown(why) => out.write_str(why),
        }
    }
}

/// Whether the leader has the members written down.
pub(super) async fn is_written(cluster: &Cluster) -> bool {
    let leader = cluster.leader().await.and_then(|leader| cluster.node(leader));
    let table = match leader {
        Some(leader) => own::members(leader.door.address, ANSWER_MAX).await,
        None => None,
    };
    table.is_some_and(|table| table.written)
}

fn row(table: &MembersReport, id: u64) -> Option<&MemberReport> {
    table.members.iter().find(|row| row.id == id)
}

fn at(place: Option<SocketAddr>) -> String {
    place.map_or_else(String::new, |place| place.to_string())
}

/// Separates these draws from those of targets.
const FORK_MEMBERS: u64 = 0x6d65_6d62_6572;
const ANSWER_MAX: Duration = Duration::from_millis(1500);
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// Of two nodes, none may fail.
const MEMBERS_MIN: usize = 2;
/// A tool waits ten seconds for the configuration that it asked for.
const ORDER_MAX: Duration = Duration::from_secs(12);
/// Raising the level, a join, and a node that hears that it was removed take a second or two; other faults may be in their way.
const CHANGE_MAX: Duration = Duration::from_secs(8);
