//! Open connections, and which of them can be spared.
//!
//! Knows numbers and their order. Must not know sockets.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use tokio::task::AbortHandle;

/// What is known of an open connection.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Answers that take time; while there is one, it is not cut off.
    busy: usize,
    /// Whether it ever asked anything.
    asked: bool,
    /// Since when it is waited for: a number that grows.
    since: u64,
    /// Ends it; none before it has begun.
    pub ends: Option<AbortHandle>,
}

/// All open connections.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub open: BTreeMap<u64, Known>,
    next: u64,
}

impl Table {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Takes in one more.
    pub fn enter(&mut self) -> u64 {
        let number = self.number();
        self.open.insert(number, Known { since: number, ..Known::default() });
        number
    }

    /// Takes out the one that can be spared most, if there are more than `most`.
    pub fn spare(&mut self, most: usize) -> Option<Known> {
        if self.open.len() <= most {
            return None;
        }
        let waiting = self.open.iter().filter(|(_, known)| known.busy == 0);
        let (number, _) = waiting.min_by_key(|(_, known)| (known.asked, known.since))?;
        let number = *number;
        self.open.remove(&number)
    }

    /// Notes that one asked something and is waited for from now on.
    pub fn asked(&mut self, number: u64) {
        let since = self.number();
        if let Some(known) = self.open.get_mut(&number) {
            (known.asked, known.since) = (true, since);
        }
    }
}

/// An open connection.
#[derive(Clone)]
pub(in crate::http) struct Connection(pub(super) Option<Arc<Place>>);

pub(super) struct Place {
    pub number: u64,
    pub table: Arc<Mutex<Table>>,
}

impl Place {
    pub fn table<T>(&self, change: impl FnOnce(&mut Table) -> T) -> T {
        change(&mut self.table.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.table(|table| table.open.remove(&self.number));
    }
}

impl Connection {
    /// From now on its answer takes time: until this is dropped, it is not cut off. To be asked for only by what limits
    /// itself how many there are at once.
    pub fn busy(&self) -> Busy {
        self.change(|known| known.busy += 1);
        Busy(self.clone())
    }

    fn change(&self, change: impl FnOnce(&mut Known)) {
        if let Some(place) = &self.0 {
            place.table(|table| table.open.get_mut(&place.number).map(change));
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Connection {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or(Self(None)))
    }
}

/// An answer that takes time.
pub(in crate::http) struct Busy(Connection);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.change(|known| known.busy = known.busy.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers of those that are spared, until nobody can be.
    fn spared(table: &mut Table) -> Vec<u64> {
        let mut order = Vec::new();
        loop {
            let before: Vec<u64> = table.open.keys().copied().collect();
            if table.spare(0).is_none() {
                return order;
            }
            order.extend(before.into_iter().filter(|number| !table.open.contains_key(number)));
        }
    }

    #[test]
    fn who_never_asked_is_spared_first_and_who_is_answered_never() {
        let mut table = Table::default();
        let [scraper, silent, follower, late, policy] = [(); 5].map(|()| table.enter());
        for number in [policy, scraper] {
            table.asked(number);
        }
        table.open.get_mut(&follower).unwrap().busy = 1;
        assert!(table.spare(5).is_none(), "there is room");
        assert_eq!(spared(&mut table), [silent, late, policy, scraper]);
        assert_eq!(table.open.keys().copied().collect::<Vec<_>>(), [follower]);
    }

    #[test]
    fn a_place_is_free_again_when_its_connection_ends() {
        let table = Arc::new(Mutex::new(Table::default()));
        let number = table.lock().unwrap().enter();
        let place = Arc::new(Place { number, table: Arc::clone(&table) });
        let connection = Connection(Some(place));
        let busy = connection.busy();
        assert!(table.lock().unwrap().spare(0).is_none(), "it is being answered");
        drop(busy);
        assert!(!table.lock().unwrap().open.is_empty());
        drop(connection);
        assert!(table.lock().unwrap().open.is_empty());
    }
}
