//! Where a partition stands: between two records, and among the pins between them.
//!
//! Knows how a position is written beside a committed offset. Must not know who commits it.

use serde::{Deserialize, Serialize};

/// Everything before it has happened: the records below `offset`, and the first `pins` pins of the partition. Compared in
/// that order; on an idle partition all pins stand at one offset.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Hash, Serialize, Deserialize)]
pub struct Position {
    /// The next record.
    pub offset: i64,
    /// Pins so far, since the partition began.
    pub pins: u64,
}

/// What is written beside the offset is none of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} beside the committed offset is no position of tiltmeter; use another consumer group")]
pub struct PositionError(pub String);

impl Position {
    /// What is written beside the committed offset.
    pub fn metadata(self) -> String {
        format!("v1;pins={}", self.pins)
    }

    /// The position of a committed offset and what is written beside it; an offset with nothing beside it was set by
    /// a person, and has seen no pins.
    ///
    /// # Errors
    ///
    /// When something else is written there.
    pub fn committed(offset: i64, metadata: &str) -> Result<Self, PositionError> {
        if metadata.is_empty() {
            return Ok(Self { offset, pins: 0 });
        }
        let pins = metadata.strip_prefix("v1;pins=").and_then(|pins| pins.parse().ok());
        pins.map(|pins| Self { offset, pins }).ok_or_else(|| PositionError(metadata.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_read_as_it_was_written() {
        let position = Position { offset: 7, pins: 12 };
        assert_eq!(Position::committed(7, &position.metadata()), Ok(position));
        assert_eq!(Position::committed(7, ""), Ok(Position { offset: 7, pins: 0 }));
        assert!(Position::committed(7, "v2;pins=1").is_err());
    }

    #[test]
    fn pins_at_one_offset_are_told_apart() {
        assert!(Position { offset: 7, pins: 3 } < Position { offset: 7, pins: 4 });
        assert!(Position { offset: 7, pins: 4 } < Position { offset: 8, pins: 4 });
    }
}
