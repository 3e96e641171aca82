//! How often one address, or one member, may ask: token buckets in memory.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Beyond this many buckets the full ones are dropped: they say nothing.
const MOST_BUCKETS: usize = 50_000;

/// Buckets by key; each holds a minute's allowance and refills evenly.
#[derive(Debug)]
pub(crate) struct Limiter<K> {
    per_minute: f64,
    buckets: Mutex<BTreeMap<K, Bucket>>,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    left: f64,
    at: Instant,
}

impl<K: Ord> Limiter<K> {
    pub(crate) fn new(per_minute: u32) -> Self {
        Self {
            per_minute: f64::from(per_minute.max(1)),
            buckets: Mutex::default(),
        }
    }

    /// Takes one request out of a bucket.
    ///
    /// # Errors
    /// How long to wait until there is one, when it is empty.
    pub(crate) fn take(&self, key: K, now: Instant) -> Result<(), Duration> {
        let per_second = self.per_minute / 60.0;
        let mut buckets = self
            .buckets
            .lock()
            .expect("no holder of this lock can panic");
        if buckets.len() >= MOST_BUCKETS && !buckets.contains_key(&key) {
            let full = |bucket: &Bucket| {
                let since = now.saturating_duration_since(bucket.at).as_secs_f64();
                bucket.left + since * per_second >= self.per_minute
            };
            buckets.retain(|_, bucket| !full(bucket));
            if buckets.len() >= MOST_BUCKETS {
                // More addresses than that within a minute: better to turn new ones away than to grow.
                return Err(Duration::from_secs(1));
            }
        }
        let bucket = buckets.entry(key).or_insert(Bucket {
            left: self.per_minute,
            at: now,
        });
        let since = now.saturating_duration_since(bucket.at).as_secs_f64();
        bucket.left = (bucket.left + since * per_second).min(self.per_minute);
        bucket.at = now.max(bucket.at);
        if bucket.left < 1.0 {
            return Err(Duration::from_secs_f64((1.0 - bucket.left) / per_second));
        }
        bucket.left -= 1.0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minutes_allowance_goes_at_once_and_refills_evenly() {
        let limiter = Limiter::new(60);
        let start = Instant::now();
        for _ in 0..60 {
            limiter.take(1, start).unwrap();
        }
        let wait = limiter.take(1, start).unwrap_err();
        assert!(wait > Duration::from_millis(900) && wait <= Duration::from_secs(1));
        limiter.take(2, start).expect("another key has its own");
        limiter
            .take(1, start + Duration::from_millis(1100))
            .unwrap();
        limiter
            .take(1, start + Duration::from_millis(1200))
            .unwrap_err();
    }

    #[test]
    fn a_flood_of_addresses_does_not_grow_without_end() {
        let limiter = Limiter::new(1);
        let start = Instant::now();
        for key in 0..MOST_BUCKETS {
            limiter.take(key, start).unwrap();
        }
        limiter.take(MOST_BUCKETS, start).unwrap_err();
        let later = start + Duration::from_secs(61);
        limiter.take(MOST_BUCKETS, later).unwrap();
        assert_eq!(limiter.buckets.lock().unwrap().len(), 1);
    }
}
