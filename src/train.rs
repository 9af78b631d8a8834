//! Makes the parameter files in `models/`.
//!
//! Knows the simulated fleet and the engine. Must not know what is shipped already: what is trained starts from
//! nothing.

use crate::baseline::pool::Peaks;
use crate::engine::unit::Position;
use crate::engine::{Engine, Settings};
use crate::simulate::{Preset, Scenario, ScenarioError, Simulation};

/// Presets of the fleets. Some are left out, so that there are fleets on which the calibration can be tried out.
const PRESETS: [Preset; 4] =
    [Preset::Mixed, Preset::Trading, Preset::CustomerData, Preset::SystemAdministration];
/// Fleets of each preset.
const FLEETS: u64 = 12;
/// First seed; none of these seeds is used anywhere else.
const FIRST_SEED: u64 = 7_000;
/// Agents of a fleet.
const AGENTS: u32 = 40;
/// Days of a fleet's life: its first ones, because these are the days on which the calibration is needed.
const DAYS: f64 = 2.0;

/// How the first-day calibration is made, in words, for its card.
pub fn calibration_recipe() -> String {
    format!(
        "tiltmeter train calibration: the first {DAYS} days of {FLEETS} fleets of {AGENTS} simulated agents of each \
         of the presets {}, no attacks, seeds from {FIRST_SEED}",
        PRESETS.map(Preset::name).join(", ")
    )
}

/// How high units of young, quiet, simulated fleets rise.
///
/// # Errors
///
/// When the simulator refuses its scenario, which a test excludes.
pub fn calibration(settings: &Settings) -> Result<Peaks, ScenarioError> {
    let mut all = Peaks::default();
    for (number, preset) in (0..).zip(PRESETS) {
        for fleet in 0..FLEETS {
            let scenario = Scenario {
                preset,
                agents: AGENTS,
                days: DAYS,
                seed: FIRST_SEED + 100 * number + fleet,
                attacks: Vec::new(),
                ..Scenario::default()
            };
            let mut engine = Engine::new(Settings { shipped: Peaks::default(), ..settings.clone() });
            let mut alerts = Vec::new();
            for (line, simulated) in (1..).zip(Simulation::new(&scenario)?) {
                engine.judge(&simulated.event, Position { source: 0, line }, &mut alerts);
            }
            engine.finish(&mut alerts);
            for own in engine.baselines().types.values() {
                all.merge(&own.peaks);
            }
        }
    }
    Ok(all)
}
