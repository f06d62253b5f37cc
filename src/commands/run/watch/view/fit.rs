//! Which lines of which parts a page has room for.

use ratatui::text::Line;

/// Parts up to this weight have all their lines before the others have any.
const VITAL: u8 = 2;

/// Lines that belong together.
pub struct Part {
    /// The lower, the sooner it gets room.
    pub weight: u8,
    /// Lines of which the first has to be there, if there is any room.
    pub head: Vec<Line<'static>>,
    /// A list: if some of it is missing, that is said.
    pub rows: Vec<Line<'static>>,
    /// What the list is of: `codes`.
    pub of: &'static str,
    /// Whether an empty line goes before it, where there is room.
    pub apart: bool,
}

impl Part {
    fn len(&self) -> usize {
        self.head.len() + self.rows.len()
    }

    /// Its lines in so much room.
    fn within(mut self, room: usize) -> Vec<Line<'static>> {
        if room >= self.len() {
            self.head.extend(self.rows);
            return self.head;
        }
        if room <= self.head.len() || self.rows.is_empty() {
            self.head.truncate(room);
            return self.head;
        }
        let shown = room - self.head.len() - 1;
        let missing = self.rows.len() - shown;
        self.head.extend(self.rows.into_iter().take(shown));
        self.head.push(Line::raw(format!("  {missing} more {}", self.of)));
        self.head
    }
}

/// The lines of all parts that have room, in the order of the parts.
pub fn fit(parts: Vec<Part>, height: usize) -> Vec<Line<'static>> {
    let mut order: Vec<usize> = (0..parts.len()).collect();
    order.sort_by_key(|at| parts[*at].weight);
    let mut room = vec![0; parts.len()];
    let mut left = height;
    // What has to be seen; one line for each other, since what matters less still says that it is there; then
    // heads, then lists.
    let vital = |part: &Part| if part.weight <= VITAL { part.head.len() } else { 0 };
    let wanted: [fn(&Part) -> usize; 4] =
        [vital, |part| part.len().min(1), |part| part.head.len(), Part::len];
    for want in wanted {
        for at in &order {
            let more = want(&parts[*at]).saturating_sub(room[*at]).min(left);
            room[*at] += more;
            left -= more;
        }
    }
    let mut page = Vec::new();
    for (part, room) in parts.into_iter().zip(room) {
        let apart = part.apart && left > 0 && room > 0 && !page.is_empty();
        if apart {
            left -= 1;
            page.push(Line::default());
        }
        page.extend(part.within(room));
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(weight: u8, head: usize, rows: usize) -> Part {
        let lines =
            |word: &str, count| (0..count).map(|at| Line::raw(format!("{word}{weight}.{at}"))).collect();
        Part { weight, head: lines("h", head), rows: lines("r", rows), of: "codes", apart: true }
    }

    fn fitted(parts: Vec<Part>, height: usize) -> Vec<String> {
        fit(parts, height).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_matters_least_goes_first_and_what_is_missing_is_counted() {
        let parts = || vec![part(8, 1, 3), part(7, 2, 0)];
        assert_eq!(fitted(parts(), 1), ["h7.0"]);
        assert_eq!(fitted(parts(), 2), ["h8.0", "h7.0"]);
        assert_eq!(fitted(parts(), 3), ["h8.0", "h7.0", "h7.1"]);
        assert_eq!(fitted(parts(), 4), ["h8.0", "  3 more codes", "h7.0", "h7.1"]);
        assert_eq!(fitted(parts(), 5), ["h8.0", "r8.0", "  2 more codes", "h7.0", "h7.1"]);
        assert_eq!(fitted(parts(), 6), ["h8.0", "r8.0", "r8.1", "r8.2", "h7.0", "h7.1"]);
        assert_eq!(fitted(parts(), 9), ["h8.0", "r8.0", "r8.1", "r8.2", "", "h7.0", "h7.1"]);
        assert!(fitted(parts(), 0).is_empty());
        assert_eq!(fitted(vec![part(8, 1, 0), part(VITAL, 2, 0)], 2), ["h2.0", "h2.1"]);
    }
}
