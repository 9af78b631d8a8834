//! Where pages are, and how one leads to another.
//!
//! Knows how an address is written. Must not know what stands at it.

use super::super::problem::{Problem, shown};
use super::super::query::Parameters;
use super::text::escaped;

/// Where a page is, and whether it holds still: whoever comes with a keyboard loses the place whenever it looks again.
pub(super) struct View {
    /// The path with the parameters that say what is shown, as an attribute may have it.
    at: String,
    /// `?refresh=off`; kept by all that the page leads to.
    pub holds_still: bool,
}

impl View {
    /// * `path`: encoded.
    ///
    /// # Errors
    ///
    /// When `refresh` is something else than `off`.
    pub fn new(path: &str, tenant: Option<&str>, parameters: &Parameters) -> Result<Self, Problem> {
        let holds_still = match parameters.text("refresh") {
            None => false,
            Some("off") => true,
            Some(other) => {
                let detail = format!("refresh = {} is not allowed: give off, or leave it out", shown(other));
                return Err(Problem::bad("invalid-parameter", detail));
            }
        };
        Ok(Self { at: address(path, tenant, false), holds_still })
    }

    /// The same page, which looks again or holds still.
    pub fn switched(&self) -> String {
        let joint = if self.at.contains('?') { "&amp;" } else { "?" };
        if self.holds_still { self.at.clone() } else { format!("{}{joint}refresh=off", self.at) }
    }
}

/// The path of the page of an agent.
pub(super) fn path_of(agent_id: &str) -> String {
    let path: String = form_urlencoded::byte_serialize(agent_id.as_bytes()).collect();
    // A plus is a plus in a path.
    format!("/agents/{}", path.replace('+', "%20"))
}

/// An address as an attribute may have it.
pub(super) fn address(path: &str, tenant: Option<&str>, holds_still: bool) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    if let Some(tenant) = tenant {
        query.append_pair("tenant", tenant);
    }
    if holds_still {
        query.append_pair("refresh", "off");
    }
    let query = query.finish().replace('&', "&amp;");
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

/// An agent, with the way to its page.
pub(super) fn link(tenant: Option<&str>, agent_id: &str, view: &View) -> String {
    let of =
        tenant.map(|tenant| format!(" <span class=\"faint\">{}</span>", escaped(tenant))).unwrap_or_default();
    let name = escaped(agent_id);
    // Browsers take these for steps in a path, also where they are encoded.
    if matches!(agent_id, "" | "." | "..") {
        return format!("<bdi>{name}</bdi>{of}");
    }
    format!("<a href=\"{}\">{name}</a>{of}", address(&path_of(agent_id), tenant, view.holds_still))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_leads_to_the_agent_whatever_its_name_is() {
        let view =
            |query| View::new("/", None, &Parameters::read(Some(query), &["refresh"]).unwrap()).unwrap();
        let of = link(Some("a&b\"c"), "../../x y?\">+%", &view(""));
        assert!(
            of.starts_with("<a href=\"/agents/..%2F..%2Fx%20y%3F%22%3E%2B%25?tenant=a%26b%22c\">"),
            "{of}"
        );
        let of = link(Some("t"), "a", &view("refresh=off"));
        assert!(of.starts_with("<a href=\"/agents/a?tenant=t&amp;refresh=off\">a</a>"), "{of}");
        assert_eq!(link(None, "..", &view("")), "<bdi>..</bdi>");
        assert_eq!(
            (view("").switched(), view("refresh=off").switched()),
            ("/?refresh=off".into(), "/".into())
        );
    }
}
