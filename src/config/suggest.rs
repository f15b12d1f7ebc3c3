//! Suggestions for misspelt names.

/// The candidate nearest to `name`, where one is near enough to be meant.
pub fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (name.chars().count() / 3).clamp(1, 3);
    candidates
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Edit distance with swaps of neighbours as one edit, since those are what fingers do.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().take(NAME_MAX_LETTERS).collect();
    let b: Vec<char> = b.chars().take(NAME_MAX_LETTERS).collect();
    let cell = |row: &[usize], at: usize| row.get(at).copied().unwrap_or(usize::MAX / 2);
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let mut best = (cell(&last, j) + usize::from(x != y))
                .min(cell(&last, j + 1) + 1)
                .min(cell(&row, j) + 1);
            let swapped = i > 0 && j > 0 && a.get(i - 1) == Some(y) && b.get(j - 1) == Some(x);
            if swapped {
                best = best.min(cell(&before_last, j - 1) + 1);
            }
            row.push(best);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    cell(&last, b.len())
}

/// Longer names are compared by their beginnings; no name of ours comes near.
const NAME_MAX_LETTERS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_found_and_far_ones_are_not() {
        let names = ["hostname", "local_domains", "user", "users", "port:tcp"];
        let rows = [
            ("hostnam", Some("hostname")),
            ("hsotname", Some("hostname")),
            ("host_name", Some("hostname")),
            ("local_domain", Some("local_domains")),
            ("usr", Some("user")),
            ("port-tcp", Some("port:tcp")),
            ("zebra", None),
            ("", None),
        ];
        for (name, want) in rows {
            assert_eq!(nearest(name, names.into_iter()), want, "{name}");
        }
    }
}
