//! The two lengths of windows in which calls are counted.
//!
//! Knows names and lengths. Must not know what is counted.

use serde::{Deserialize, Serialize};

/// How long a window is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// Five minutes.
    FiveMinutes,
    /// An hour.
    Hour,
}

impl Scale {
    /// Both scales, shortest first.
    pub const ALL: [Self; 2] = [Self::FiveMinutes, Self::Hour];

    /// Length of a window. Minutes.
    pub fn minutes(self) -> u32 {
        match self {
            Self::FiveMinutes => 5,
            Self::Hour => 60,
        }
    }
}

/// One thing for each scale.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct PerScale<T> {
    /// For windows of five minutes.
    pub five_minutes: T,
    /// For windows of an hour.
    pub hour: T,
}

impl<T> PerScale<T> {
    /// The one of a scale.
    #[inline]
    pub fn of(&self, scale: Scale) -> &T {
        match scale {
            Scale::FiveMinutes => &self.five_minutes,
            Scale::Hour => &self.hour,
        }
    }

    /// The one of a scale, to be changed.
    pub fn of_mut(&mut self, scale: Scale) -> &mut T {
        match scale {
            Scale::FiveMinutes => &mut self.five_minutes,
            Scale::Hour => &mut self.hour,
        }
    }
}
