//! A strict reader of the Prometheus text format (version 0.0.4): what it reads, every
//! reader reads.

use std::collections::{BTreeMap, BTreeSet};

/// One family of the page.
#[derive(Debug, Default)]
pub struct Family {
    pub kind: String,
    /// Labels and number of each series; of a histogram the sums.
    pub series: Vec<(BTreeMap<String, String>, f64)>,
    /// Of a histogram: labels with `le`, and how many values are not above it.
    pub buckets: Vec<(BTreeMap<String, String>, f64)>,
    counts: Vec<(BTreeMap<String, String>, f64)>,
}

/// Reads a whole page.
pub fn read(page: &str) -> Result<BTreeMap<String, Family>, String> {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut current = String::new();
    let mut seen = BTreeSet::new();
    if !page.ends_with('\n') {
        return Err("the last line has no end".into());
    }
    for line in page.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, text) = help.split_once(' ').ok_or_else(|| format!("no text: {line}"))?;
            if text.trim().is_empty() || families.insert(name.to_owned(), Family::default()).is_some() {
                return Err(format!("empty, or there twice: {line}"));
            }
            name.clone_into(&mut current);
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let kind = kind.strip_prefix(&current).and_then(|rest| rest.strip_prefix(' '));
            let family = families.get_mut(&current).ok_or_else(|| format!("no HELP before: {line}"))?;
            match kind {
                Some("counter" | "gauge" | "histogram") if family.kind.is_empty() => {
                    kind.unwrap().clone_into(&mut family.kind)
                }
                _ => return Err(format!("no type of this family: {line}")),
            }
        } else {
            let (name, labels, number) = sample(line).ok_or_else(|| format!("no sample: {line}"))?;
            let family = families.get_mut(&current).filter(|family| !family.kind.is_empty());
            let part = family.and_then(|family| family.part(name.strip_prefix(&current)?));
            let part = part.ok_or_else(|| format!("outside of its family: {line}"))?;
            if !seen.insert((name.to_owned(), labels.clone())) {
                return Err(format!("the series is there twice: {line}"));
            }
            part.push((labels, number));
        }
    }
    if let Some((name, _)) = families.iter().find(|(_, family)| family.series.is_empty()) {
        return Err(format!("{name} has no series"));
    }
    match families.iter().find(|(_, family)| family.kind == "histogram" && !family.adds_up()) {
        Some((name, _)) => Err(format!("the buckets of {name} do not add up")),
        None => Ok(families),
    }
}

impl Family {
    /// Where a sample belongs whose name has this ending.
    fn part(&mut self, ending: &str) -> Option<&mut Vec<(BTreeMap<String, String>, f64)>> {
        match (self.kind.as_str(), ending) {
            ("counter" | "gauge", "") | ("histogram", "_sum") => Some(&mut self.series),
            ("histogram", "_bucket") => Some(&mut self.buckets),
            ("histogram", "_count") => Some(&mut self.counts),
            _ => None,
        }
    }

    /// Whether each series has growing buckets up to `+Inf`, which has all values.
    fn adds_up(&self) -> bool {
        self.series.iter().all(|(labels, _)| {
            let of_it = self
                .buckets
                .iter()
                .filter(|(with, _)| labels.iter().all(|(name, value)| with.get(name) == Some(value)));
            let numbers: Vec<f64> = of_it.clone().map(|(_, number)| *number).collect();
            let all = self.counts.iter().find(|(of, _)| of == labels).map(|(_, count)| *count);
            let last = of_it.clone().next_back().and_then(|(with, _)| with.get("le"));
            numbers.is_sorted() && numbers.last().copied() == all && last.is_some_and(|le| le == "+Inf")
        })
    }
}

fn sample(line: &str) -> Option<(&str, BTreeMap<String, String>, f64)> {
    let end = line.find(['{', ' '])?;
    let (name, mut rest) = line.split_at(end);
    let mut labels = BTreeMap::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        loop {
            let (label, after) = rest.split_once("=\"")?;
            let (value, after) = quoted(after)?;
            if !is_name(label) || labels.insert(label.to_owned(), value).is_some() {
                return None;
            }
            match after.strip_prefix(',') {
                Some(more) => rest = more,
                None => {
                    rest = after.strip_prefix('}')?;
                    break;
                }
            }
        }
    }
    let number: f64 = rest.strip_prefix(' ')?.parse().ok()?;
    (is_name(name) && number.is_finite()).then_some((name, labels, number))
}

/// A value up to its closing quote, and what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(match letters.next()?.1 {
                'n' => '\n',
                escaped @ ('\\' | '"') => escaped,
                _ => return None,
            }),
            other => value.push(other),
        }
    }
    None
}

fn is_name(name: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
    name.bytes().next().is_some_and(letter) && name.bytes().all(|byte| letter(byte) || byte.is_ascii_digit())
}

#[test]
fn wrong_pages_are_refused() {
    let good =
        "# HELP a_total A.\n# TYPE a_total counter\na_total{x=\"1\",y=\"\\\"\"} 2\na_total{x=\"2\"} 3\n";
    let read_back = read(good).unwrap();
    assert_eq!(read_back["a_total"].series[0].0["y"], "\"");
    for (bad, what) in [
        ("# HELP a A.\n# TYPE a gauge\na 1", "no end of line"),
        ("a 1\n", "no family"),
        ("# HELP a A.\na 1\n", "no type"),
        ("# HELP a A.\n# TYPE a gauge\nb 1\n", "another family"),
        ("# HELP a A.\n# TYPE a gauge\na 1\na 2\n", "twice"),
        ("# HELP a A.\n# TYPE a gauge\na{x=\"1\"\n", "open bracket"),
        ("# HELP a A.\n# TYPE a gauge\na NaN\n", "no number"),
        ("# HELP a A.\n# TYPE a gauge\n", "no series"),
        ("# HELP a A.\n# TYPE a gauge\na 1\n# HELP a A.\n", "family twice"),
        ("# HELP a A.\n# TYPE a histogram\na_sum 1\na_count 2\na_bucket{le=\"+Inf\"} 1\n", "count"),
        ("# HELP a A.\n# TYPE a histogram\na_sum 1\na_count 2\na_bucket{le=\"1\"} 2\n", "no last"),
        ("# HELP a A.\n# TYPE a histogram\na 1\n", "no histogram"),
        ("# HELP a A.\n# TYPE b gauge\na 1\n", "type of another"),
    ] {
        assert!(read(bad).is_err(), "{what}: {bad:?}");
    }
}
