//! Spans as a tree for people.

use crate::collector::Span;

/// Each trace with its spans below one another, in the order of their beginnings. Of users and
/// steps with the same name below the same job, three are shown.
pub fn tree(spans: &[Span]) -> String {
    let mut text = String::new();
    let mut roots: Vec<&Span> =
        spans.iter().filter(|span| !spans.iter().any(|other| other.id == span.parent)).collect();
    roots.sort_by_key(|span| span.began);
    for root in roots {
        text.push_str(&format!("trace {}\n", root.trace));
        branch(&mut text, root, spans, 1);
    }
    text
}

fn branch(text: &mut String, span: &Span, spans: &[Span], depth: usize) {
    let shown = [
        "ferry.job.attempt",
        "ferry.job.rescues",
        "ferry.job.end",
        "http.response.status_code",
        "error.type",
    ];
    let of_span = shown.iter().filter_map(|key| Some(format!(" {key}={}", span.attributes.get(*key)?)));
    let links = span.links.iter().map(|(trace, id)| format!(" link={trace}/{id}"));
    let process = &span.process[span.process.len() - 4..];
    let more: String = of_span.chain(links).collect();
    text.push_str(&format!("{:indent$}{} [{process}]{more}\n", "", span.name, indent = depth * 2));
    let mut below: Vec<&Span> = spans.iter().filter(|other| other.parent == span.id).collect();
    below.sort_by_key(|span| span.began);
    let mut counts = std::collections::BTreeMap::<&str, usize>::new();
    for child in below {
        let count = counts.entry(&child.name).or_default();
        *count += 1;
        if *count <= 3 || depth < 2 {
            branch(text, child, spans, depth + 1);
        }
    }
    for (name, count) in counts.into_iter().filter(|(_, count)| *count > 3 && depth >= 2) {
        text.push_str(&format!("{:indent$}… {} more {name}\n", "", count - 3, indent = depth * 2 + 2));
    }
}
