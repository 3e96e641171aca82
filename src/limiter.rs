//! How often one address, or one member, may ask: token buckets in memory.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Beyond this many buckets the full ones are dropped: they say nothing.
const MOST_BUCKETS: usize = 50_000;

/// How often at most all buckets are looked at for that.
const SWEEP_GAP: Duration = Duration::from_secs(1);

/// Buckets by key; each holds a minute's allowance and refills evenly.
#[derive(Debug)]
pub(crate) struct Limiter<K> {
    per_minute: f64,
    most: f64,
    buckets: Mutex<Buckets<K>>,
}

#[derive(Debug)]
struct Buckets<K> {
    by_key: BTreeMap<K, Bucket>,
    swept: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    left: f64,
    at: Instant,
}

impl<K: Ord> Limiter<K> {
    /// Each key may spend `per_minute` requests a minute, all at once or evenly.
    pub(crate) fn new(per_minute: u32) -> Self {
        Self::with_burst(per_minute, per_minute)
    }

    /// Each key may spend `per_minute` requests a minute, and no more than `burst` at once.
    pub(crate) fn with_burst(per_minute: u32, burst: u32) -> Self {
        let buckets = Buckets {
            by_key: BTreeMap::new(),
            swept: None,
        };
        Self {
            per_minute: f64::from(per_minute.max(1)),
            most: f64::from(burst.max(1)),
            buckets: Mutex::new(buckets),
        }
    }

    /// Takes what a request costs out of a bucket: all of a full bucket where it costs more than that.
    ///
    /// # Errors
    /// How long to wait until there is enough.
    pub(crate) fn take(&self, key: K, cost: f64, now: Instant) -> Result<(), Duration> {
        let per_second = self.per_minute / 60.0;
        let cost = cost.min(self.most);
        let mut buckets = self
            .buckets
            .lock()
            .expect("no holder of this lock can panic");
        let Buckets { by_key, swept } = &mut *buckets;
        if by_key.len() >= MOST_BUCKETS && !by_key.contains_key(&key) {
            let is_due = swept.is_none_or(|swept| now >= swept + SWEEP_GAP);
            if is_due {
                *swept = Some(now);
                by_key.retain(|_, bucket| bucket.filled(per_second, now) < self.most);
            }
            if by_key.len() >= MOST_BUCKETS {
                // More addresses than that within a minute: better to turn new ones away than to grow.
                return Err(SWEEP_GAP);
            }
        }
        let bucket = by_key.entry(key).or_insert(Bucket {
            left: self.most,
            at: now,
        });
        bucket.left = bucket.filled(per_second, now).min(self.most);
        bucket.at = now.max(bucket.at);
        if bucket.left < cost {
            return Err(Duration::from_secs_f64((cost - bucket.left) / per_second));
        }
        bucket.left -= cost;
        Ok(())
    }
}

impl Bucket {
    /// What is in it now, unbounded.
    fn filled(&self, per_second: f64, now: Instant) -> f64 {
        let since = now.saturating_duration_since(self.at).as_secs_f64();
        self.left + since * per_second
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
            limiter.take(1, 1.0, start).unwrap();
        }
        let wait = limiter.take(1, 1.0, start).unwrap_err();
        assert!(wait > Duration::from_millis(900) && wait <= Duration::from_secs(1));
        limiter
            .take(2, 1.0, start)
            .expect("another key has its own");
        limiter
            .take(1, 1.0, start + Duration::from_millis(1100))
            .unwrap();
        limiter
            .take(1, 1.0, start + Duration::from_millis(1200))
            .unwrap_err();
    }

    #[test]
    fn a_flood_of_addresses_does_not_grow_without_end() {
        let limiter = Limiter::new(1);
        let start = Instant::now();
        for key in 0..MOST_BUCKETS {
            limiter.take(key, 1.0, start).unwrap();
        }
        limiter.take(MOST_BUCKETS, 1.0, start).unwrap_err();
        let later = start + Duration::from_secs(61);
        limiter.take(MOST_BUCKETS, 1.0, later).unwrap();
        assert_eq!(limiter.buckets.lock().unwrap().by_key.len(), 1);
    }

    #[test]
    fn a_request_costs_what_it_costs_and_never_more_than_a_full_bucket() {
        let limiter = Limiter::new(6);
        let start = Instant::now();
        limiter.take(1, 3.0, start).unwrap();
        limiter.take(1, 2.5, start).unwrap();
        limiter.take(1, 0.5, start).unwrap();
        let wait = limiter.take(1, 0.2, start).unwrap_err();
        assert_eq!(wait.as_millis(), 2_000);
        limiter.take(1, 0.0, start).expect("this costs nothing");
        limiter.take(2, 60.0, start).unwrap();
        limiter.take(2, 60.0, start).unwrap_err();
    }

    #[test]
    fn a_burst_is_bounded_apart_from_the_rate() {
        let limiter = Limiter::with_burst(120, 3);
        let start = Instant::now();
        for _ in 0..3 {
            limiter.take((), 1.0, start).unwrap();
        }
        limiter.take((), 1.0, start).unwrap_err();
        let later = start + Duration::from_secs(60);
        let taken = (0..10).filter(|_| limiter.take((), 1.0, later).is_ok());
        assert_eq!(taken.count(), 3);
    }

    #[test]
    fn a_flood_of_addresses_is_swept_once_a_second_at_most() {
        let limiter = Limiter::new(60);
        let start = Instant::now();
        for key in 0..MOST_BUCKETS {
            limiter.take(key, 1.0, start).unwrap();
        }
        let swept = || limiter.buckets.lock().unwrap().swept;
        limiter.take(MOST_BUCKETS, 1.0, start).unwrap_err();
        assert_eq!(swept(), Some(start));
        let soon = start + Duration::from_millis(999);
        limiter.take(MOST_BUCKETS, 1.0, soon).unwrap_err();
        assert_eq!(swept(), Some(start));
        limiter.take(0, 1.0, soon).expect("who is known gets in");
        let later = start + SWEEP_GAP;
        limiter.take(MOST_BUCKETS, 1.0, later).unwrap();
        assert_eq!(swept(), Some(later));
    }
}
