//! The key under which an agent is told of: no two agents share one.
//!
//! Knows tenants and ids. Must not know what is told.

/// The key of an agent in `agent-risk`: its id, behind its tenant and a slash where it has one.
///
/// Agents of two tenants are two agents, and ids may hold slashes: in the tenant `%` and `/` are escaped (`%25`, `%2F`; `%` alone
/// is an empty one), and an id without tenant that holds a slash has one in front.
pub fn risk_key(tenant: Option<&str>, agent_id: &str) -> String {
    match tenant {
        Some(tenant) => format!("{}/{agent_id}", escaped(tenant)),
        None if agent_id.contains('/') => format!("/{agent_id}"),
        None => agent_id.to_owned(),
    }
}

/// The agent of a key, whose tenant is known.
pub fn agent_of<'k>(tenant: Option<&str>, key: &'k str) -> &'k str {
    let beyond = match tenant {
        Some(tenant) => escaped(tenant).len() + 1,
        None => usize::from(key.starts_with('/')),
    };
    key.get(beyond..).unwrap_or_default()
}

fn escaped(tenant: &str) -> String {
    if tenant.is_empty() { "%".to_owned() } else { tenant.replace('%', "%25").replace('/', "%2F") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_tenant_and_its_agent_are_no_agent_that_is_called_like_both() {
        assert_eq!(risk_key(None, "mailer"), "mailer");
        assert_eq!(risk_key(Some("acme"), "mailer/1"), "acme/mailer/1");
        assert_ne!(risk_key(Some("acme"), "b"), risk_key(None, "acme/b"));
        assert_ne!(risk_key(Some("acme/b"), "c"), risk_key(Some("acme"), "b/c"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]
        #[test]
        fn no_two_agents_share_a_key(
            one in (proptest::option::of("[a/%2F5]{0,3}"), "[a/%2F5]{1,4}"),
            other in (proptest::option::of("[a/%2F5]{0,3}"), "[a/%2F5]{1,4}"),
        ) {
            let key = |(tenant, agent): &(Option<String>, String)| risk_key(tenant.as_deref(), agent);
            prop_assert_eq!(one == other, key(&one) == key(&other), "{} {}", key(&one), key(&other));
            let of_one = key(&one);
            prop_assert_eq!(agent_of(one.0.as_deref(), &of_one), &one.1);
        }
    }
}
