//! What of a directory is certain: it is there after any loss of power.

use super::MemDisk;

impl MemDisk {
    /// The first of the files that `is_meant` names of which a loss of power could take something.
    pub fn uncertain(&self, is_meant: impl Fn(&str, &[u8]) -> bool) -> Option<String> {
        let state = self.state();
        let are_names_synced = state.changes.is_empty();
        let is_certain = |name: &String, at: usize| {
            let inode = &state.inodes[at];
            inode.is_clean()
                && inode.durable_length == inode.live.len()
                && (are_names_synced || state.durable_names.get(name) == Some(&at))
        };
        // Few files are uncertain: their names are looked at last.
        let mut uncertain = state.names.iter().filter(|(name, at)| !is_certain(name, **at));
        let found = uncertain.find(|(name, at)| is_meant(name, &state.inodes[**at].live));
        found.map(|(name, _)| name.clone())
    }

    /// The first of the files that `is_meant` names whose bytes, as the page cache shows them, are not right.
    pub fn find_wrong(
        &self,
        is_meant: impl Fn(&str) -> bool,
        is_right: impl Fn(&[u8]) -> bool,
    ) -> Option<String> {
        let state = self.state();
        let mut meant = state.names.iter().filter(|(name, _)| is_meant(name));
        let wrong = meant.find(|(_, at)| !is_right(&state.inodes[**at].live));
        wrong.map(|(name, _)| name.clone())
    }
}
