//! Who may use an upstream. The same check stands at every entry point (RS-18).

use crate::Principal;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// Every signed-in person.
    #[default]
    Everyone,
    /// Members of any of these groups, and these people by verified e-mail address.
    Only { groups: Vec<String>, emails: Vec<String> },
}

impl Access {
    pub const fn nobody() -> Self {
        Self::Only { groups: Vec::new(), emails: Vec::new() }
    }

    pub fn permits(&self, who: &Principal) -> bool {
        match self {
            Self::Everyone => true,
            Self::Only { groups, emails } => {
                who.groups.iter().any(|group| groups.contains(group))
                    || who.email.as_ref().is_some_and(|email| {
                        emails.iter().any(|one| one.eq_ignore_ascii_case(email))
                    })
            }
        }
    }
}
