//! Answers of others, kept for a while: one reading at a time per key, and never more than so many keys.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::sync::OnceCell;

/// The answers.
#[derive(Debug)]
pub(crate) struct Cache<K, V> {
    most: usize,
    lifetime: fn(&V) -> Duration,
    entries: Mutex<BTreeMap<K, Entry<V>>>,
}

#[derive(Debug)]
struct Entry<V> {
    /// When the reading began: what happened after it may be missing from the answer.
    since: Instant,
    value: Arc<OnceCell<V>>,
}

impl<V> Entry<V> {
    fn is_over(&self, lifetime: fn(&V) -> Duration, now: Instant) -> bool {
        let age = now.saturating_duration_since(self.since);
        self.value.get().is_some_and(|value| age >= lifetime(value))
    }
}

impl<K: Ord, V: Clone> Cache<K, V> {
    /// Nothing is known yet. `most`: the keys that are kept; `lifetime`: for how long an answer is.
    pub(crate) fn new(most: usize, lifetime: fn(&V) -> Duration) -> Self {
        Self {
            most,
            lifetime,
            entries: Mutex::default(),
        }
    }

    /// The answer, by `read` where none is kept. Those who ask for the same meanwhile wait for that reading.
    ///
    /// # Errors
    /// As `read`; a failure is not kept.
    pub(crate) fn get<E>(
        &self,
        key: K,
        read: impl Future<Output = Result<V, E>>,
    ) -> impl Future<Output = Result<V, E>> {
        // On the heap: what a connection does is large, and stands deep inside what a page does.
        let read = Box::pin(read);
        let cell = self.cell(key, Instant::now());
        async move { cell.get_or_try_init(|| read).await.cloned() }
    }

    /// The answer that is kept, if any.
    pub(crate) fn kept(&self, key: &K) -> Option<V> {
        let entries = self.entries();
        let entry = entries.get(key)?;
        let is_over = entry.is_over(self.lifetime, Instant::now());
        entry.value.get().filter(|_| !is_over).cloned()
    }

    /// The answers that are kept of these keys, and the keys of which none is.
    pub(crate) fn kept_of(&self, keys: impl IntoIterator<Item = K>) -> (BTreeMap<K, V>, Vec<K>) {
        let (mut known, mut unknown) = (BTreeMap::new(), Vec::new());
        for key in keys {
            match self.kept(&key) {
                Some(value) => _ = known.insert(key, value),
                None => unknown.push(key),
            }
        }
        (known, unknown)
    }

    /// Keeps an answer that was read in another way.
    pub(crate) fn put(&self, key: K, value: V) {
        self.forget_where(|known| *known == key);
        let cell = self.cell(key, Instant::now());
        // Another reading may have been quicker: that answer is as new.
        let _kept = cell.set(value);
    }

    /// What is asked next about these keys is read again. Readings under way are not kept.
    pub(crate) fn forget_where(&self, is_meant: impl Fn(&K) -> bool) {
        self.entries().retain(|key, _| !is_meant(key));
    }

    fn cell(&self, key: K, now: Instant) -> Arc<OnceCell<V>> {
        let mut entries = self.entries();
        let lifetime = self.lifetime;
        if let Some(entry) = entries.get(&key)
            && !entry.is_over(lifetime, now)
        {
            return Arc::clone(&entry.value);
        }
        if entries.len() >= self.most {
            entries.retain(|_, entry| !entry.is_over(lifetime, now));
            if entries.len() >= self.most {
                entries.clear();
            }
        }
        let value = Arc::default();
        let entry = Entry {
            since: now,
            value: Arc::clone(&value),
        };
        entries.insert(key, entry);
        value
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<K, Entry<V>>> {
        self.entries
            .lock()
            .expect("no holder of this lock can panic")
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn hour<V>(_: &V) -> Duration {
        Duration::from_secs(3600)
    }

    #[tokio::test]
    async fn those_who_ask_at_the_same_time_share_one_reading() {
        let cache = Cache::new(10, hour);
        let readings = AtomicU32::new(0);
        let ask = || {
            cache.get(1, async {
                tokio::task::yield_now().await;
                Ok::<_, Infallible>(readings.fetch_add(1, Ordering::Relaxed))
            })
        };
        let answers = tokio::join!(ask(), ask(), ask());
        assert_eq!(answers, (Ok(0), Ok(0), Ok(0)));
        assert_eq!(cache.kept(&1), Some(0));
    }

    #[tokio::test]
    async fn a_failure_is_not_kept_and_an_answer_no_longer_than_it_lives() {
        let cache = Cache::new(10, |_| Duration::ZERO);
        let read = async |answer| cache.get(1, async { answer }).await;
        assert_eq!(read(Err("no")).await, Err("no"));
        assert_eq!(read(Ok(1)).await, Ok(1));
        assert_eq!(read(Ok(2)).await, Ok(2), "its time was over at once");
        assert_eq!(cache.kept(&1), None);
    }

    #[tokio::test]
    async fn what_was_forgotten_during_its_reading_is_not_kept() {
        let cache = Cache::new(10, hour);
        let read = cache.get(1, async {
            cache.forget_where(|key| *key == 1);
            Ok::<_, Infallible>("old")
        });
        assert_eq!(read.await, Ok("old"));
        assert_eq!(cache.kept(&1), None);
    }

    #[tokio::test]
    async fn a_flood_of_keys_does_not_grow_without_end() {
        let cache = Cache::new(10, hour);
        for key in 0..100 {
            cache.put(key, key);
        }
        assert!(cache.entries().len() <= 10);
        assert_eq!(cache.kept(&99), Some(99));
    }
}
