//! The fleets that can be simulated: agent types, their tasks and their tools.
//!
//! Knows jobs and wording. Must not know how they are drawn, nor anything of detection:
//! no tool is named, and no task written, with a detector in mind.

mod customer_data;
mod office;
mod software_development;
mod system_administration;
mod trading;

use super::grammar::{AgentType, Effect, Tool};
use super::kind::Kind;
use super::scenario::Preset;

/// The agent types of a preset. Never empty.
pub fn agent_types(preset: Preset) -> Vec<&'static AgentType> {
    match preset {
        Preset::Trading => trading::TYPES.iter().collect(),
        Preset::CustomerData => customer_data::TYPES.iter().collect(),
        Preset::SystemAdministration => system_administration::TYPES.iter().collect(),
        Preset::SoftwareDevelopment => software_development::TYPES.iter().collect(),
        Preset::Office => office::TYPES.iter().collect(),
        Preset::Mixed => [trading::TYPES, customer_data::TYPES, system_administration::TYPES]
            .into_iter()
            .flatten()
            .collect(),
    }
}

/// Administration calls that a curious intruder tries out; no task of any type contains them.
pub static PROBES: [Tool; 8] = [
    Tool::commit("create_access_key").takes(&[("user", Kind::User)]).of(Kind::User).fails(0.05, 0.7),
    Tool::commit("attach_policy")
        .takes(&[("role", Kind::Role), ("user", Kind::User)])
        .of(Kind::Role)
        .fails(0.05, 0.7),
    Tool::read("list_secrets").takes(&[("vault", Kind::Key)]).of(Kind::Key).fails(0.05, 0.6),
    Tool::read("read_secret").takes(&[("secret_id", Kind::Key)]).of(Kind::Key).fails(0.05, 0.8),
    Tool::read("list_roles").takes(&[("page", Kind::Page)]).system("iam").fails(0.05, 0.5),
    Tool::commit("assume_role").takes(&[("role", Kind::Role)]).of(Kind::Role).fails(0.05, 0.8),
    Tool::write("update_audit_settings")
        .takes(&[("service", Kind::Service)])
        .of(Kind::Service)
        .fails(0.05, 0.8),
    Tool::commit("reset_user_password").takes(&[("user", Kind::User)]).of(Kind::User).fails(0.05, 0.7),
];

/// Ways out of the house that an attacker can fall back on where a type has no tool for it.
pub static EXITS: [Tool; 3] = [
    Tool::commit("send_email")
        .takes(&[("recipients", Kind::Email), ("subject", Kind::Subject), ("body", Kind::Note)])
        .of(Kind::Email),
    Tool::commit("upload_file").takes(&[("url", Kind::Url), ("path", Kind::Path)]).of(Kind::Url),
    Tool::commit("share_folder").takes(&[("path", Kind::Path), ("with", Kind::Email)]).of(Kind::Path),
];

/// Those of `tools` that have this effect and point somewhere.
pub fn tools_of(tools: &'static [&'static Tool], effect: Effect) -> Vec<&'static Tool> {
    tools
        .iter()
        .copied()
        .filter(|tool| tool.effect == effect && tool.takes.iter().any(|(_, kind)| kind.is_placed()))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::simulate::grammar::{Give, Place, Step, Tier};

    /// The types of every preset.
    fn all_types() -> Vec<&'static AgentType> {
        [Preset::Mixed, Preset::SoftwareDevelopment, Preset::Office]
            .into_iter()
            .flat_map(agent_types)
            .collect()
    }

    fn tools_in(steps: &'static [Step], out: &mut Vec<&'static str>) {
        for step in steps {
            match step {
                Step::Call(tool) => out.push(tool.name),
                Step::Maybe(_, inner) | Step::Some(_, inner) | Step::Each(_, _, inner) => {
                    tools_in(inner, out)
                }
                Step::OneOf(arms) => arms.iter().for_each(|(_, inner)| tools_in(inner, out)),
            }
        }
    }

    #[test]
    fn every_type_has_six_to_twelve_tasks_and_one_that_comes_with_a_release() {
        for t in all_types() {
            assert!((6..=12).contains(&t.tasks.len()), "{} has {} tasks", t.name, t.tasks.len());
            assert!(t.tasks.iter().any(|task| task.released), "{} never has a release", t.name);
            assert!(t.tasks.iter().filter(|task| !task.released).count() >= 5, "{}", t.name);
        }
    }

    #[test]
    fn a_type_lists_exactly_the_tools_of_its_tasks_and_its_release_brings_one_more() {
        for t in all_types() {
            let (mut old, mut all) = (Vec::new(), Vec::new());
            for task in t.tasks {
                tools_in(task.steps, &mut all);
                if !task.released {
                    tools_in(task.steps, &mut old);
                }
            }
            let listed: BTreeSet<_> = t.tools.iter().map(|tool| tool.name).collect();
            assert_eq!(BTreeSet::from_iter(old), listed, "{}", t.name);
            assert_eq!(BTreeSet::from_iter(all).len(), listed.len() + 1, "{}", t.name);
        }
    }

    #[test]
    fn the_resource_of_a_tool_is_one_of_its_arguments() {
        for tool in all_types().iter().flat_map(|t| t.tools.iter().copied()).chain(&PROBES).chain(&EXITS) {
            if let Place::Of(kind) = tool.place {
                assert!(tool.takes.iter().any(|(_, k)| *k == kind), "{}", tool.name);
                assert!(kind.is_placed(), "{}", tool.name);
            }
            for give in tool.gives {
                let (Give::Field(kind) | Give::Text(kind)) = give;
                assert!(kind.traits().groups >= 1, "{}", tool.name);
            }
        }
    }

    #[test]
    fn a_fleet_has_types_without_sessions_and_types_without_provenance() {
        let types = agent_types(Preset::Mixed);
        assert_eq!(types.iter().filter(|t| !t.sessions).count(), 1);
        assert_eq!(types.iter().filter(|t| t.tier == Tier::None).count(), 1);
    }
}
