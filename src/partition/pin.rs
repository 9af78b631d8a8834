//! What influences a partition and is no record of it.
//!
//! Knows the kinds of pins. Must not know when one is decided.

use serde::{Deserialize, Serialize};

use super::position::Position;
use crate::risk::Blindness;
use crate::time::EventTime;

/// Something that happened between two records. It is written down where it happened, so that it can be repeated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Pin {
    /// From now on a version of what is normal holds, by its number.
    Version(u64),
    /// A person decided something: a record of the control topic.
    Control {
        /// Its offset there.
        at: i64,
        /// What it says, as JSON.
        json: String,
    },
    /// Nothing has arrived until this instant.
    Clock(EventTime),
    /// The records up to this offset (excluded) cannot be judged and are passed over.
    Skip(i64),
    /// From now on what its agents do cannot be seen, because of this; or, with none, it can be again.
    Sight(Option<Blindness>),
    /// The agents of these slices, one bit each, are told of anew because of that. All at once they could be more than one
    /// transaction can hold.
    TellSight(u64),
    /// From now on, of calls that repeat each other, one in so many is judged, because there is too much; with less than 2,
    /// every one again.
    Repeats(u32),
    /// The records up to this offset (excluded) are left out, because there is too much.
    Overtake(i64),
}

/// A pin as it is written down.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct PinRecord {
    /// Where it stands: before the record at this offset, after this many pins.
    pub position: Position,
    pub pin: Pin,
}
