//! The pace against an API in virtual time.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;
use crate::amser_api::Window;

/// An API that takes this long, and allows so many requests in each second.
struct Api {
    took: Duration,
    allowed: u32,
    /// Its windows begin this much after the start of a second.
    phase: Duration,
    window: (u64, u32),
    refused_until: Option<Instant>,
    early: u32,
}

impl Api {
    fn new(took: u64, allowed: u32, phase: u64) -> Self {
        Self {
            took: Duration::from_millis(took),
            allowed,
            phase: Duration::from_millis(phase),
            window: (0, 0),
            refused_until: None,
            early: 0,
        }
    }

    /// Whether it answers, else the wait that it asks for.
    fn ask(&mut self, since: Duration, now: Instant) -> Result<(), Duration> {
        if self.refused_until.is_some_and(|until| now < until) {
            self.early += 1;
        }
        let second = (since + self.phase).as_secs();
        if self.window.0 != second {
            self.window = (second, 0);
        }
        self.window.1 += 1;
        if self.window.1 > self.allowed {
            let wait = Duration::from_secs(1);
            self.refused_until = Some(now + wait);
            return Err(wait);
        }
        Ok(())
    }
}

struct Run {
    /// Answered requests by second.
    seconds: Vec<u32>,
    refused: u32,
    early: u32,
}

/// Asks until so many were answered.
fn run(api: &mut Api, answers: u32, wanted: f64, mut jitter: impl FnMut() -> f64) -> Run {
    let start = Instant::now();
    let (mut pace, mut now) = (Pace::default(), start);
    // Answers on their way, by when they come.
    let mut under_way = VecDeque::new();
    let (mut seconds, mut refused, mut answered) = (Vec::new(), 0, 0);
    while answered < answers {
        let at = pace.next_at(wanted, jitter(), now).max(now);
        while under_way
            .front()
            .is_some_and(|(comes, _)| *comes <= at || under_way.len() >= AT_ONCE)
        {
            let Some((comes, outcome)) = under_way.pop_front() else {
                break;
            };
            now = now.max(comes);
            match outcome {
                Ok(()) => pace.answered(wanted, api.took, Limits::default(), now),
                Err(wait) => {
                    let limits = Limits {
                        retry_after: Some(wait),
                        window: None,
                    };
                    pace.too_many(limits, now);
                }
            }
        }
        let at = pace.next_at(wanted, 0.5, now).max(now).max(at);
        now = at;
        pace.sent(now);
        let outcome = api.ask(now - start, now);
        match outcome {
            Ok(()) => {
                let second = (now - start).as_secs() as usize;
                seconds.resize(seconds.len().max(second + 1), 0);
                seconds[second] += 1;
                answered += 1;
            }
            Err(_) => refused += 1,
        }
        under_way.push_back((now + api.took, outcome));
    }
    Run {
        seconds,
        refused,
        early: api.early,
    }
}

#[test]
fn a_hundred_thousand_checks_are_spread_evenly_over_what_the_api_allows() {
    let mut api = Api::new(20, 50, 0);
    let mut state = 1_u64;
    let random = move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 40) as f64 / (1_u64 << 24) as f64
    };
    let run = run(&mut api, 100_000, 100_000.0 / 600.0, random);
    let mean = 100_000.0 / run.seconds.len() as f64;
    assert!(mean > 35.0, "{mean} a second of the 50 that are allowed");
    let most = *run.seconds.iter().max().unwrap();
    assert!(f64::from(most) <= 2.0 * mean, "{most} in a second");
    // One try now and then whether more is allowed by now, and what was under way with it.
    assert!(run.refused < 100, "{} were refused", run.refused);
}

#[test]
fn a_few_questions_are_spread_over_their_whole_round() {
    let mut api = Api::new(20, 50, 0);
    let run = run(&mut api, 100, 100.0 / 600.0, || 0.5);
    assert_eq!(run.refused, 0);
    assert!(run.seconds.iter().all(|count| *count <= 1));
    assert!((590..=610).contains(&run.seconds.len()));
}

#[test]
fn a_slow_api_is_asked_slowly() {
    let mut api = Api::new(4_000, 50, 0);
    let run = run(&mut api, 200, 100.0, || 0.5);
    let rate = 200.0 / run.seconds.len() as f64;
    assert!(rate <= 1.3, "{rate} a second");
}

#[test]
fn what_the_headers_allow_is_heeded() {
    let now = Instant::now();
    let mut pace = Pace::default();
    pace.sent(now);
    let limits = Limits {
        retry_after: None,
        window: Some(Window {
            remaining: 2,
            resets_in: Duration::from_secs(20),
        }),
    };
    pace.answered(9.0, Duration::from_millis(20), limits, now);
    let at = pace.next_at(9.0, 0.5, now);
    assert_eq!((at - now).as_secs(), 10);
    let limits = Limits {
        window: Some(Window {
            remaining: 0,
            resets_in: Duration::from_secs(20),
        }),
        ..limits
    };
    pace.answered(9.0, Duration::from_millis(20), limits, now);
    assert_eq!((pace.next_at(9.0, 0.5, now) - now).as_secs(), 20);
}

#[test]
fn refusals_that_say_nothing_are_asked_again_more_and_more_rarely() {
    let mut now = Instant::now();
    let mut pace = Pace::default();
    let mut pauses = Vec::new();
    for _ in 0..12 {
        pace.sent(now);
        pace.too_many(Limits::default(), now);
        let at = pace.next_at(1.0, 0.5, now);
        pauses.push((at - now).as_secs());
        now = at;
    }
    assert!(pauses.is_sorted(), "{pauses:?}");
    assert_eq!(pauses[0], 2);
    assert_eq!(pauses[11], LONGEST_PAUSE.as_secs());
    // 0 seconds, over and over, is no leave to ask without end.
    let zero = Limits {
        retry_after: Some(Duration::ZERO),
        window: None,
    };
    let mut pace = Pace::default();
    for _ in 0..8 {
        pace.sent(now);
        pace.too_many(zero, now);
        now = pace.next_at(1.0, 0.5, now);
    }
    pace.too_many(zero, now);
    assert!(pace.paused_until(now).unwrap() - now > Duration::from_secs(100));
}

proptest! {
    #[test]
    fn nothing_is_sent_before_it_was_allowed_and_no_second_has_a_crowd(
        took in 5_u64..2_000,
        allowed in 2_u32..80,
        phase in 0_u64..1_000,
        answers in 50_u32..800,
        jitter in prop::collection::vec(0.0_f64..1.0, 1..20),
    ) {
        let mut api = Api::new(took, allowed, phase);
        let mut at = 0;
        let next = || {
            at += 1;
            jitter[at % jitter.len()]
        };
        let run = run(&mut api, answers, 1_000.0, next);
        // What was under way when the refusal came could not know of it.
        prop_assert!(run.early <= run.refused * AT_ONCE as u32);
        prop_assert!(run.seconds.iter().all(|count| *count <= allowed * 2));
    }

    #[test]
    fn no_request_goes_out_before_retry_after(
        waits in prop::collection::vec((0_u64..5_000, any::<bool>()), 1..40),
    ) {
        let mut now = Instant::now();
        let mut pace = Pace::default();
        let mut not_before = now;
        for (wait, is_refusal) in waits {
            let at = pace.next_at(100.0, 0.0, now).max(now);
            prop_assert!(at >= not_before);
            now = at;
            pace.sent(now);
            let wait = Duration::from_millis(wait);
            let limits = Limits { retry_after: Some(wait), window: None };
            match is_refusal {
                true => pace.too_many(limits, now),
                false => pace.answered(100.0, Duration::from_millis(10), limits, now),
            }
            not_before = not_before.max(now + wait);
        }
    }
}
