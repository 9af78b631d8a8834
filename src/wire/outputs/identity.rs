//! Under which name other systems know an agent: a template over our names.
//!
//! Knows three names. Must not know any directory.

use std::fmt;

use crate::wire::mapping_file::path::{Part, parts};

/// The names of an agent that a template may use.
#[derive(Clone, Copy, Debug)]
pub struct Names<'n> {
    /// Its id.
    pub agent_id: &'n str,
    /// Its type.
    pub agent_type: &'n str,
    /// Its tenant.
    pub tenant: Option<&'n str>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Name {
    AgentId,
    AgentType,
    Tenant,
}

/// How an agent is called elsewhere: text with `{agent_id}`, `{agent_type}` and `{tenant}` in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IdentityTemplate {
    written: String,
    parts: Vec<Part<Name>>,
}

impl Default for IdentityTemplate {
    /// The agent's id itself.
    fn default() -> Self {
        Self { written: Self::DEFAULT.to_owned(), parts: vec![Part::Place(Name::AgentId)] }
    }
}

impl fmt::Display for IdentityTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

impl IdentityTemplate {
    /// The template where none is given.
    pub const DEFAULT: &'static str = "{agent_id}";

    /// Reads a template.
    ///
    /// # Errors
    ///
    /// A sentence, where it names something else, or not the agent's id, without which agents could not be told apart.
    ///
    /// # Example
    ///
    /// ```
    /// use tiltmeter::wire::outputs::identity::{IdentityTemplate, Names};
    ///
    /// let template = IdentityTemplate::parse("urn:agent:{tenant}:{agent_id}").unwrap();
    /// let names = Names { agent_id: "a-1", agent_type: "mail", tenant: Some("acme") };
    /// assert_eq!(template.of(names), "urn:agent:acme:a-1");
    /// assert!(IdentityTemplate::parse("{agent}").is_err());
    /// ```
    pub fn parse(text: &str) -> Result<Self, String> {
        let name = |path: &str| match path {
            "agent_id" => Ok(Name::AgentId),
            "agent_type" => Ok(Name::AgentType),
            "tenant" => Ok(Name::Tenant),
            _ => Err("names something else than {agent_id}, {agent_type} or {tenant}".to_owned()),
        };
        let parts = if text.contains(['{', '}']) { parts(text, name)? } else { Vec::new() };
        if !parts.contains(&Part::Place(Name::AgentId)) {
            return Err("does not name the agent: {agent_id} must be in it".to_owned());
        }
        Ok(Self { written: text.to_owned(), parts })
    }

    /// The name of an agent elsewhere. A tenant that is not there is empty.
    pub fn of(&self, names: Names<'_>) -> String {
        let part = |part: &Part<Name>| match part {
            Part::Literal(text) => text.clone(),
            Part::Place(Name::AgentId) => names.agent_id.to_owned(),
            Part::Place(Name::AgentType) => names.agent_type.to_owned(),
            Part::Place(Name::Tenant) => names.tenant.unwrap_or_default().to_owned(),
        };
        self.parts.iter().map(part).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_that_cannot_tell_agents_apart_is_refused() {
        for wrong in ["agent", "{tenant}", "{agent_id", "{agentid}", "{}"] {
            assert!(IdentityTemplate::parse(wrong).is_err(), "{wrong}");
        }
        assert_eq!(IdentityTemplate::parse(IdentityTemplate::DEFAULT).unwrap(), IdentityTemplate::default());
        let names = Names { agent_id: "a", agent_type: "t", tenant: None };
        assert_eq!(IdentityTemplate::parse("{tenant}/{agent_type}/{agent_id}").unwrap().of(names), "/t/a");
    }
}
