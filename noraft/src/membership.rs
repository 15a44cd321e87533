//! Changes of the cluster's membership: Raft 6, joint consensus.

use crate::config::ClusterConfig;
use crate::entries::LogEntry;
use crate::node::Node;
use crate::role::State;
use crate::types::LogPosition;

impl Node {
    /// Proposes a configuration and returns its position.
    ///
    /// Non-voters are changed directly; voters by way of
    /// [`ClusterConfig::to_joint_consensus`], after which the leader appends the final configuration
    /// by itself once the joint one is committed. The new configuration is in force at once.
    ///
    /// Returns [`LogPosition::INVALID`], with nothing done, if this node is not the leader, a change
    /// is in progress, `new_config.voters` are not the present voters, or a node would be voter and
    /// non-voter at once.
    pub fn propose_config(&mut self, new_config: ClusterConfig) -> LogPosition {
        let current = self.config();
        let acceptable = !current.is_joint_consensus()
            && new_config.voters == current.voters
            && !new_config.is_contradictory();
        if !self.role().is_leader() || !acceptable || self.log_is_full() {
            return LogPosition::INVALID;
        }
        self.propose(LogEntry::ClusterConfig(new_config))
    }

    /// Takes the next step of a change whose configuration the leader has just committed: from joint
    /// to final, or, if this leader is no longer a voter, out of office (Raft 6).
    pub(crate) fn settle_config(&mut self) {
        let State::Leader(leadership) = &self.state else {
            return;
        };
        let (joint, self_is_voter) = (leadership.is_joint(), leadership.self_is_voter());
        if (!joint && self_is_voter) || self.commit_index < self.log.latest_config_index() {
            return;
        }
        if !joint {
            self.retire();
        } else if !self.log_is_full() {
            let last = self.config().to_final();
            self.propose(LogEntry::ClusterConfig(last));
        }
    }

    /// Steps down without a new term.
    ///
    /// The vote stays this node's own: given away again, it would be a second vote in one term.
    fn retire(&mut self) {
        self.state = State::Follower;
        self.actions.set_election_timeout = true;
        self.actions.save_current_term = true;
        self.actions.save_voted_for = true;
    }
}
