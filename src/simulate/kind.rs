//! Kinds of value that tools take and give: customers, hosts, addresses, amounts.
//!
//! Knows how values of a kind look, how many there are, and how a value generalises to a resource.
//! Must not know which tools or agents use them.

use std::fmt::Write;

use crate::event::ValueClass;

/// What a value stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Kind {
    /// Bank account (of a customer, a broker, a supplier).
    Account,
    /// Amount of money or quantity.
    Amount,
    /// One choice of a short list (a side, a status, a priority).
    Choice,
    /// A command line.
    Command,
    /// Customer number.
    Customer,
    /// Date or time.
    Date,
    /// E-mail address.
    Email,
    /// Machine.
    Host,
    /// Traded instrument.
    Instrument,
    /// Public key or fingerprint.
    Key,
    /// Text of some length: a message, a summary, a note.
    Note,
    /// Purchase or trade order.
    Order,
    /// Software package.
    Package,
    /// Page of a listing.
    Page,
    /// File.
    Path,
    /// Words to search for.
    Query,
    /// Code repository.
    Repo,
    /// Role or permission.
    Role,
    /// Running service.
    Service,
    /// Heading of a message.
    Subject,
    /// Case in a ticket system.
    Ticket,
    /// Web address.
    Url,
    /// Account of a person in the directory.
    User,
}

/// How the values of one kind are distributed and what they look like.
#[derive(Clone, Copy, Debug)]
pub struct Traits {
    /// What a value looks like.
    pub class: ValueClass,
    /// Shortest and longest value. Characters; both ≥ 1.
    pub length: (u32, u32),
    /// How many groups (hosts, folders, owners, domains, segments) exist in the fleet; 1 = the kind has no groups.
    pub groups: u32,
    /// How many values a group holds. ≥ 1.
    pub items: u32,
    /// Probability that the user named the value when no tool has given one; otherwise the model made it.
    pub named: f64,
    /// Whether a session keeps using the value it knows (a customer) or takes a new one per call (a search phrase).
    pub lasting: bool,
    /// Text before and after the group's name in a resource; `None` = the kind names no resource.
    resource: Option<(&'static str, &'static str)>,
}

impl Kind {
    /// The traits of this kind.
    pub const fn traits(self) -> Traits {
        use ValueClass as C;
        match self {
            Self::Account => placed(C::Iban, (18, 26), 60, 400, 0.7, ("bank/", "")),
            Self::Amount => passing(C::Num, (1, 7), 5_000, 0.6),
            Self::Choice => passing(C::Word, (2, 9), 12, 0.4),
            Self::Command => passing(C::Phrase, (8, 70), 4_000, 0.1),
            Self::Customer => placed(C::Word, (8, 10), 200, 800, 0.8, ("crm/", "")),
            Self::Date => passing(C::Time, (10, 20), 400, 0.5),
            Self::Email => placed(C::Email, (14, 34), 250, 60, 0.8, ("", ".example")),
            Self::Host => placed(C::Word, (8, 22), 120, 40, 0.7, ("cluster/", "")),
            Self::Instrument => placed(C::Word, (3, 6), 30, 300, 0.7, ("market/", "")),
            Self::Key => placed(C::Key, (40, 90), 40, 30, 0.6, ("vault/", "")),
            Self::Note => passing(C::Text, (60, 1_800), 1_000_000, 0.03),
            Self::Order => placed(C::Word, (9, 12), 80, 2_000, 0.7, ("orders/", "")),
            Self::Package => placed(C::Word, (4, 20), 90, 25, 0.5, ("packages/", "")),
            Self::Page => passing(C::Num, (1, 3), 40, 0.02),
            Self::Path => placed(C::Path, (12, 60), 180, 90, 0.6, ("/shared/", "")),
            Self::Query => passing(C::Phrase, (5, 50), 60_000, 0.5),
            Self::Repo => placed(C::Repo, (9, 36), 90, 15, 0.8, ("", "")),
            Self::Role => placed(C::Word, (5, 18), 25, 8, 0.6, ("roles/", "")),
            Self::Service => placed(C::Word, (5, 20), 110, 4, 0.7, ("service/", "")),
            Self::Subject => passing(C::Phrase, (12, 70), 200_000, 0.1),
            Self::Ticket => placed(C::Word, (7, 11), 40, 5_000, 0.8, ("queue/", "")),
            Self::Url => placed(C::Url, (18, 90), 400, 120, 0.5, ("", ".example.com")),
            Self::User => placed(C::Word, (5, 14), 70, 90, 0.8, ("directory/", "")),
        }
    }

    /// Whether values of this kind point somewhere: at a resource that an attacker would want to choose.
    pub fn is_placed(self) -> bool {
        self.traits().resource.is_some()
    }

    /// The resource a value of `group` belongs to: its host, folder, owner or domain. `None` when the kind has none.
    pub fn resource(self, group: u32) -> Option<String> {
        let (before, after) = self.traits().resource?;
        let mut text = String::with_capacity(before.len() + after.len() + 14);
        text.push_str(before);
        text.push_str(name(group));
        let round = group / NAMES.len() as u32;
        if round > 0 {
            // Writing to a `String` cannot fail.
            let _ = write!(text, "-{round}");
        }
        text.push_str(after);
        Some(text)
    }
}

const fn placed(
    class: ValueClass,
    length: (u32, u32),
    groups: u32,
    items: u32,
    named: f64,
    resource: (&'static str, &'static str),
) -> Traits {
    Traits { class, length, groups, items, named, lasting: true, resource: Some(resource) }
}

const fn passing(class: ValueClass, length: (u32, u32), items: u32, named: f64) -> Traits {
    Traits { class, length, groups: 1, items, named, lasting: false, resource: None }
}

/// A plain name for a number; equal for numbers that differ by a multiple of [`NAMES`]' length.
pub fn name(number: u32) -> &'static str {
    NAMES.get(number as usize % NAMES.len()).copied().unwrap_or("amber")
}

/// Names for groups and people: short, neutral and free of meaning.
const NAMES: [&str; 64] = [
    "amber", "aspen", "basil", "beech", "birch", "brook", "canyon", "cedar", "clover", "cobalt", "coral",
    "cove", "crane", "delta", "dune", "ember", "falcon", "fern", "fjord", "flint", "garnet", "glacier",
    "grove", "harbor", "hazel", "heron", "indigo", "iris", "ivory", "jasper", "juniper", "kestrel", "lagoon",
    "larch", "laurel", "lichen", "linden", "lotus", "maple", "marble", "meadow", "mesa", "mistral", "moss",
    "oak", "onyx", "opal", "orchid", "osprey", "pebble", "pine", "plover", "quartz", "reed", "ridge",
    "river", "sage", "slate", "sparrow", "spruce", "tarn", "thistle", "tundra", "willow",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_have_different_resources() {
        let mut seen = std::collections::HashSet::new();
        for group in 0..Kind::Url.traits().groups {
            assert!(seen.insert(Kind::Url.resource(group)), "group {group}");
        }
    }

    #[test]
    fn an_amount_names_no_resource() {
        assert_eq!(Kind::Amount.resource(3), None);
        assert!(!Kind::Amount.is_placed());
    }
}
