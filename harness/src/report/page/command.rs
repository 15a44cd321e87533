//! The commands that repeat a run, as a shell takes them from any directory.

use std::path::Path;

use super::Page;

/// A command, and what it does.
pub(super) struct Command {
    pub(super) line: String,
    pub(super) does: &'static str,
}

impl Page<'_> {
    /// The first repeats the run; the others check again what was recorded.
    pub(super) fn commands(&self) -> Vec<Command> {
        let plan = quoted(&self.folder.join("plan.toml"));
        let harness = || "harness".to_owned();
        let run = if self.origin.is_simulation() {
            Command {
                line: format!("{} sim {plan} --seed {}", harness(), self.seed),
                does: "Runs the same events again, one by one, and comes to the same verdict.",
            }
        } else {
            self.on_processes(&plan)
        };
        let files: String = self
            .origin
            .histories
            .iter()
            .map(|name| format!(" {}", quoted(&self.folder.join(name))))
            .collect();
        let check = (!files.is_empty()).then(|| Command {
            line: format!("{} check{files}", harness()),
            does: "Checks what was recorded again.",
        });
        std::iter::once(run).chain(check).collect()
    }
}

impl Page<'_> {
    /// The daemon of a recorded run is in its folder, and the harness that recorded it knows the schedule.
    fn on_processes(&self, plan: &str) -> Command {
        let program = self.origin.harness.as_ref();
        let program = program.map_or_else(|| "harness".to_owned(), |program| quoted(&program.path));
        match &self.origin.noraftd {
            Some(_) => Command {
                line: format!("{program} replay {}", quoted(self.folder)),
                does: "Carries out the recorded faults again, on real processes, 20 times: what they do may differ, so the answer is \
                       how often it fails.",
            },
            None => Command {
                line: format!("{program} run {plan} --seed {}", self.seed),
                does: "Makes the same decisions again, on real processes: what they do may differ.",
            },
        }
    }
}

/// The path as a shell reads it back.
pub(crate) fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |char: char| char.is_ascii_alphanumeric() || "/._-+:=@%,".contains(char);
    if !text.is_empty() && text.chars().all(is_plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_quoted_where_a_shell_would_split_it() {
        assert_eq!(quoted(Path::new("/runs/a-1/plan.toml")), "/runs/a-1/plan.toml");
        assert_eq!(quoted(Path::new("/it's a")), r"'/it'\''s a'");
    }
}
