//! Coalesces concurrent work per key. The work is *detached* from its callers: a refresh whose
//! caller hung up must still finish and be stored, or a rotated refresh token is lost.

use std::{
    collections::HashMap,
    fmt,
    future::Future,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::watch;

use crate::tasks::Tasks;

/// The task that everybody waited for ended without a result: it panicked.
#[derive(Debug, thiserror::Error, Clone, Copy, PartialEq, Eq)]
#[error("the shared task ended without a result")]
pub struct Abandoned;

/// At most one task per key. The map holds only what is in the air, and every task is bounded in
/// time by the timeouts of what it calls.
pub struct Flights<K, V> {
    tasks: Tasks,
    airborne: Airborne<K, V>,
}

type Airborne<K, V> = Arc<Mutex<HashMap<K, watch::Receiver<Option<V>>>>>;

impl<K, V> fmt::Debug for Flights<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flights").finish_non_exhaustive()
    }
}

impl<K, V> Flights<K, V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    pub fn new(tasks: Tasks) -> Self {
        Self { tasks, airborne: Arc::default() }
    }

    /// Waits for the task in the air under `key`, or starts `work` and waits for that.
    pub async fn join<F>(&self, key: K, work: impl FnOnce() -> F) -> Result<V, Abandoned>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let mut landed = self.board(key, work);
        let value = landed.wait_for(Option::is_some).await.map_err(|_| Abandoned)?;
        value.clone().ok_or(Abandoned)
    }

    /// As [`Flights::join`], without waiting.
    pub fn start<F>(&self, key: K, work: impl FnOnce() -> F)
    where
        F: Future<Output = V> + Send + 'static,
    {
        drop(self.board(key, work));
    }

    fn board<F>(&self, key: K, work: impl FnOnce() -> F) -> watch::Receiver<Option<V>>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let mut airborne = self.airborne.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(landed) = airborne.get(&key) {
            return landed.clone();
        }
        let (land, landed) = watch::channel(None);
        airborne.insert(key.clone(), landed.clone());
        let landing = Landing { key, airborne: Arc::clone(&self.airborne) };
        let work = work();
        self.tasks.spawn(async move {
            let value = work.await;
            drop(landing); // whoever comes from here on starts anew
            land.send_replace(Some(value));
        });
        landed
    }
}

/// Frees the key, also when the work panics.
struct Landing<K: Eq + Hash, V> {
    key: K,
    airborne: Airborne<K, V>,
}

impl<K: Eq + Hash, V> Drop for Landing<K, V> {
    fn drop(&mut self) {
        self.airborne.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicU32, Ordering},
        time::Duration,
    };

    use tokio::runtime::Handle;

    use super::*;

    fn flights() -> Arc<Flights<u8, u32>> {
        Arc::new(Flights::new(Tasks::new(Handle::current())))
    }

    #[tokio::test(start_paused = true)]
    async fn a_hundred_callers_share_one_task() {
        let flights = flights();
        let runs = Arc::new(AtomicU32::new(0));
        let mut callers = tokio::task::JoinSet::new();
        for _ in 0..100 {
            let (flights, runs) = (Arc::clone(&flights), Arc::clone(&runs));
            callers.spawn(async move {
                let work = || async move {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    runs.fetch_add(1, Ordering::Relaxed) + 1
                };
                flights.join(1, work).await
            });
        }
        assert!(callers.join_all().await.into_iter().all(|value| value == Ok(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn the_task_outlives_a_caller_that_hangs_up() {
        let flights = flights();
        let call = flights.join(1, || async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            7
        });
        assert!(tokio::time::timeout(Duration::from_millis(10), call).await.is_err());
        assert_eq!(flights.join(1, || async { unreachable!("one is in the air") }).await, Ok(7));
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_frees_the_key_and_the_waiters() {
        let flights = flights();
        assert_eq!(flights.join(1, || async { panic!("boom") }).await, Err(Abandoned));
        assert_eq!(flights.join(1, || async { 3 }).await, Ok(3));
    }
}
