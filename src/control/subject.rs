//! Whom a control record is about.
//!
//! Knows names and patterns. Must not know any agent.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::pattern::Pattern;

/// Agents by id, by type, or by both. Patterns: `*` stands for any text, `?` for one character.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Subject {
    /// Ids of the agents; left out: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<Pattern>,
    /// Types of the agents; left out: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_type: Option<Pattern>,
    /// Tenants of the agents; left out: only agents whose events name none. `*`: agents of every tenant, and of none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<Pattern>,
}

impl Subject {
    /// The agents whose id fits a pattern.
    ///
    /// * `tenant`: pattern of their tenants; none: agents whose events name none.
    pub fn of_agent(agent_id: &str, tenant: Option<&str>) -> Self {
        Self { agent_id: Some(Pattern::new(agent_id)), agent_type: None, tenant: tenant.map(Pattern::new) }
    }

    /// Whether an agent is meant.
    pub fn matches(&self, agent_id: &str, agent_type: &str, tenant: Option<&str>) -> bool {
        let fits = |pattern: &Option<Pattern>, name| pattern.as_ref().is_none_or(|p| p.matches(name));
        let of_tenant = match (&self.tenant, tenant) {
            (None, tenant) => tenant.is_none(),
            (Some(pattern), tenant) => pattern.matches(tenant.unwrap_or("")),
        };
        of_tenant && fits(&self.agent_id, agent_id) && fits(&self.agent_type, agent_type)
    }

    /// Id and tenant of the one agent that can be meant, if it is only one.
    pub fn one_agent(&self) -> Option<(String, Option<String>)> {
        let agent = self.agent_id.as_ref().filter(|id| id.is_one_name())?;
        match &self.tenant {
            None => Some((agent.to_string(), None)),
            Some(tenant) if tenant.is_one_name() => Some((agent.to_string(), Some(tenant.to_string()))),
            Some(_) => None,
        }
    }

    /// Whether it says nothing of whom it means.
    pub fn is_empty(&self) -> bool {
        self.agent_id.is_none() && self.agent_type.is_none()
    }
}

/// In one normal form: subjects that say the same are written the same.
impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts =
            [("agent_id", &self.agent_id), ("agent_type", &self.agent_type), ("tenant", &self.tenant)];
        let mut between = "";
        for (name, pattern) in parts {
            if let Some(pattern) = pattern {
                write!(f, "{between}{name} {pattern:?}")?;
                between = ", ";
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_of_a_tenant_are_meant_only_by_who_names_it() {
        let plain = Subject::of_agent("mail-*", None);
        let everyone = Subject::of_agent("*", Some("*"));
        let acme = Subject::of_agent("mail-7", Some("acme"));
        assert!(plain.matches("mail-7", "mail", None) && !plain.matches("mail-7", "mail", Some("acme")));
        assert!(everyone.matches("mail-7", "mail", None) && everyone.matches("pay-1", "pay", Some("acme")));
        assert!(acme.matches("mail-7", "mail", Some("acme")) && !acme.matches("mail-7", "mail", None));
    }

    #[test]
    fn id_and_type_must_both_fit() {
        let subject = Subject { agent_type: Some(Pattern::new("mail")), ..Subject::of_agent("*-7", None) };
        assert!(subject.matches("mail-7", "mail", None));
        assert!(!subject.matches("mail-8", "mail", None) && !subject.matches("mail-7", "pay", None));
        assert_eq!(subject.to_string(), r#"agent_id "*-7", agent_type "mail""#);
    }

    #[test]
    fn one_agent_is_known_from_many() {
        assert_eq!(Subject::of_agent("mail-7", None).one_agent(), Some(("mail-7".to_owned(), None)));
        assert_eq!(
            Subject::of_agent("mail-7", Some("acme")).one_agent(),
            Some(("mail-7".to_owned(), Some("acme".to_owned())))
        );
        assert_eq!(Subject::of_agent("mail-*", None).one_agent(), None);
        assert_eq!(Subject::of_agent("mail-7", Some("*")).one_agent(), None);
    }
}
