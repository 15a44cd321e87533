//! The forms that a node goes through while a cluster is rolled over.
//!
//! Invariant: two nodes at neighbouring forms understand each other, so a cluster may stand between any two.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// How a node is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The present program, as every plan starts it.
    Present,
    /// The older program, which knows no secret.
    Old,
    /// The present program, without a secret.
    Forward,
    /// The older program again, with what the present one has written.
    Back,
    /// The present program: peers may prove that they know the secret.
    Accept,
    /// The present program: peers have to.
    Require,
}

impl Form {
    /// What comes after it; nothing in a cluster that is not rolled.
    pub fn next(self) -> Option<Self> {
        match self {
            Self::Present => None,
            Self::Old => Some(Self::Forward),
            Self::Forward => Some(Self::Back),
            Self::Back | Self::Require => Some(Self::Accept),
            Self::Accept => Some(Self::Require),
        }
    }

    /// For evidence.
    pub fn name(self) -> &'static str {
        match self {
            Self::Present => "the present program",
            Self::Old => "the old program",
            Self::Forward => "the new program",
            Self::Back => "the old program again",
            Self::Accept => "the new program, accepting",
            Self::Require => "the new program, requiring",
        }
    }
}

/// What differs between the forms.
#[derive(Debug, Clone)]
pub struct Forms {
    /// The present program.
    pub program: PathBuf,
    /// The older one, in a cluster that is rolled.
    pub old: Option<PathBuf>,
    /// The file with the secret.
    pub secret: PathBuf,
}

impl Forms {
    /// Of a program that has no other form.
    pub fn only(program: PathBuf) -> Self {
        Self {
            program,
            old: None,
            secret: PathBuf::new(),
        }
    }

    /// The file with the secret, where nodes in `form` have one.
    pub(super) fn secret_in(&self, form: Form) -> Option<&Path> {
        match form {
            Form::Present | Form::Old | Form::Forward | Form::Back => None,
            Form::Accept | Form::Require => Some(&self.secret),
        }
    }

    /// Program and further arguments of a node in `form`.
    pub fn of(&self, form: Form) -> (&Path, Vec<OsString>) {
        let auth = |mode: &str| {
            let secret = self.secret.clone().into_os_string();
            vec![
                "--peer-auth".into(),
                mode.into(),
                "--peer-secret-file".into(),
                secret,
            ]
        };
        match form {
            Form::Present | Form::Forward => (&self.program, Vec::new()),
            Form::Old | Form::Back => (self.old.as_deref().unwrap_or(&self.program), Vec::new()),
            Form::Accept => (&self.program, auth("accept")),
            Form::Require => (&self.program, auth("require")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_roll_goes_forward_back_and_forward_and_never_skips_a_form() {
        let mut form = Form::Old;
        let mut names = Vec::new();
        while names.len() < 6 {
            form = form.next().unwrap();
            names.push(form);
        }
        let [forward, back] = [Form::Forward, Form::Back];
        let [accept, require] = [Form::Accept, Form::Require];
        assert_eq!(names, [forward, back, accept, require, accept, require]);
        assert_eq!(Form::Present.next(), None);
        let forms = Forms {
            program: "new".into(),
            old: Some("old".into()),
            secret: "s".into(),
        };
        for (form, program) in [(Form::Old, "old"), (forward, "new"), (back, "old")] {
            assert_eq!(forms.of(form), (Path::new(program), vec![]));
        }
        assert_eq!(forms.of(Form::Require).1[1], "require");
    }
}
