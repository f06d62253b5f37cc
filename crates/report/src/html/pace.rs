//! What the plots over time show, worked out from a course.
//!
//! A batch counts as a whole. A span of time so short that a batch more or less changes it much
//! would show rates above the limit that never were: spans grow until they hold enough batches.

use crate::course::Course;

/// Batches in each span of the plot of rates, on average.
const BATCHES: i64 = 10;
/// Most spans of it.
const SPANS: i64 = 60;
/// With fewer there is no course to see.
const FEWEST: i64 = 3;

/// Users a second in a span of time.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Span {
    /// Seconds from the start.
    pub from: f64,
    pub to: f64,
    pub per_second: f64,
}

/// Users created or adopted a second, span by span, or the number of batches where they are too few.
pub(super) fn rates(course: &Course) -> Result<Vec<Span>, i64> {
    let batches = course.steps.iter().map(|step| step.batches).sum::<i64>();
    let length = course.length();
    let spans = (batches / BATCHES).min(SPANS).min(length);
    if spans < FEWEST {
        return Err(batches);
    }
    let span_of = |number: i64| number * spans / length;
    let mut users = vec![0; usize::try_from(spans).unwrap_or_default()];
    for step in &course.steps {
        let here = usize::try_from(span_of(step.number)).ok().and_then(|at| users.get_mut(at));
        if let Some(here) = here {
            *here += step.ended.created + step.ended.adopted;
        }
    }
    // The first step of a span is the least number that `span_of` puts into it.
    let begin =
        |span: usize| (span as i64 * length + spans - 1).div_euclid(spans) as f64 * course.step_seconds;
    let span = |(at, users): (usize, i64)| {
        let (from, to) = (begin(at), begin(at + 1));
        Span { from, to, per_second: users as f64 / (to - from) }
    };
    Ok(users.into_iter().enumerate().map(span).collect())
}

/// Users that ended, and users that were read back, until a moment.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Moment {
    /// Seconds from the start.
    pub at: f64,
    pub ended: i64,
    pub read_back: i64,
}

/// The sums at the start and after each step; flat where nothing ended.
pub(super) fn sums(course: &Course) -> Vec<Moment> {
    let mut moments = vec![Moment { at: 0.0, ended: course.before.source, read_back: 0 }];
    for step in &course.steps {
        let (last, begin) = (moments[moments.len() - 1].clone(), course.end_of(step.number - 1));
        if begin > last.at {
            moments.push(Moment { at: begin, ..last.clone() });
        }
        moments.push(Moment {
            at: course.end_of(step.number),
            ended: last.ended + step.ended.source,
            read_back: last.read_back + step.verified + step.discrepancies,
        });
    }
    moments
}

/// A unit of time with its seconds, for an axis as long as this.
pub(super) fn unit(seconds: f64) -> (f64, &'static str) {
    match seconds {
        ..=180.0 => (1.0, "seconds"),
        ..=10_800.0 => (60.0, "minutes"),
        ..=259_200.0 => (3_600.0, "hours"),
        _ => (86_400.0, "days"),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use ferry_domain::Tally;

    use super::*;
    use crate::course::CourseStep;

    /// A run with this number of batches in each of these steps.
    pub fn course(step_seconds: f64, steps: &[(i64, i64)], size: i64) -> Course {
        let step = |&(number, batches): &(i64, i64)| CourseStep {
            number,
            batches,
            ended: Tally { source: batches * size, created: batches * size, ..Tally::default() },
            verified: batches * size,
            discrepancies: 0,
        };
        Course {
            begun_at: "2026-01-01T00:00:00Z".into(),
            step_seconds,
            before: Tally::default(),
            steps: steps.iter().map(step).collect(),
        }
    }

    #[test]
    fn rates_are_of_enough_batches_and_lose_no_user() {
        for length in [3, 7, 61, 199, 200] {
            let steps: Vec<_> = (0..length).map(|number| (number, 1 + number * 37 % 90)).collect();
            let course = course(0.5, &steps, 250);
            let spans = rates(&course).unwrap();
            assert!(spans.len() <= 60, "{}", spans.len());
            let users: f64 = spans.iter().map(|span| span.per_second * (span.to - span.from)).sum();
            assert_eq!(users.round() as i64, steps.iter().map(|step| step.1 * 250).sum::<i64>());
            assert_eq!((spans[0].from, spans[spans.len() - 1].to), (0.0, length as f64 * 0.5));
            assert!(spans.windows(2).all(|two| two[0].to == two[1].from && two[0].from < two[0].to));
        }
        assert_eq!(rates(&course(0.5, &[(0, 1), (199, 4)], 250)), Err(5), "too few to tell");
        assert_eq!(rates(&course(0.5, &[], 250)), Err(0));
    }

    #[test]
    fn a_steady_run_has_one_rate_and_a_pause_is_seen() {
        let steady: Vec<_> = (0..200).map(|number| (number, 5)).collect();
        let spans = rates(&course(1.0, &steady, 10)).unwrap();
        assert!(spans.iter().all(|span| (span.per_second - 50.0).abs() < 0.01), "{spans:?}");
        let paused: Vec<_> = steady.into_iter().filter(|step| !(50..150).contains(&step.0)).collect();
        let course = course(1.0, &paused, 10);
        assert!(rates(&course).unwrap().iter().any(|span| span.per_second == 0.0));
        let moments = sums(&course);
        let flat = moments.windows(2).find(|two| two[0].ended == two[1].ended).unwrap();
        assert_eq!((flat[0].at, flat[1].at), (50.0, 150.0));
        assert_eq!(moments.last().unwrap().ended, 100 * 50);
    }
}
