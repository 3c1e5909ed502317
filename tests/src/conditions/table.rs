//! The table of results: one row per condition, one column per engine.

use std::collections::{BTreeMap, BTreeSet};

use super::{CONDITIONS, Finding};

/// Returns the table as Markdown.
pub fn table(findings: &[Finding]) -> String {
    let engines: BTreeSet<&str> = findings.iter().map(|one| one.engine.as_str()).collect();
    let heads: Vec<String> = engines.iter().map(|engine| format!(" Docker {engine} |")).collect();
    let mut lines = vec![
        format!("| | condition |{}", heads.concat()),
        format!("|---|---|{}", "---|".repeat(engines.len())),
    ];
    for condition in CONDITIONS {
        let cells = engines.iter().map(|engine| {
            let of_cell: Vec<&Finding> = findings
                .iter()
                .filter(|one| one.condition == condition.id && one.engine == *engine)
                .collect();
            format!(" {} |", cell(&of_cell))
        });
        let cells: Vec<String> = cells.collect();
        lines.push(format!("| {} | {} |{}", condition.id, condition.summary, cells.concat()));
    }
    lines.join("\n") + "\n"
}

/// Returns the cell for all runs of all tests of a condition.
fn cell(findings: &[&Finding]) -> String {
    let mut runs: BTreeMap<&str, (u32, u32)> = BTreeMap::new();
    for finding in findings {
        let (held, all) = runs.entry(&finding.test).or_default();
        *held += u32::from(finding.held);
        *all += 1;
    }
    let Some((held, all)) = runs.values().min_by(|(a, b), (c, d)| (a * d).cmp(&(c * b))).copied()
    else {
        return "not run".to_owned();
    };
    let mut text = match (held, all) {
        (held, all) if held < all => format!("**failed {} of {all}**", all - held),
        (1, _) => "holds".to_owned(),
        (_, all) => format!("holds, {all} of {all} runs"),
    };
    if findings.iter().all(|finding| finding.long) {
        text.push_str(" (in full)");
    }
    // The last value of each test. A run in full length wins over a short one.
    let mut figures: BTreeMap<&str, &str> = BTreeMap::new();
    for full in [false, true] {
        for finding in findings.iter().filter(|finding| finding.held && finding.long == full) {
            if let Some(figure) = &finding.figure {
                figures.insert(&finding.test, figure);
            }
        }
    }
    for figure in figures.values() {
        text.push_str("; ");
        text.push_str(figure);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(test: &str, engine: &str, held: bool, figure: Option<&str>) -> Finding {
        Finding {
            condition: test[..3].to_uppercase(),
            test: test.to_owned(),
            engine: engine.to_owned(),
            held,
            long: false,
            seconds: 0.1,
            figure: figure.map(str::to_owned),
        }
    }

    #[test]
    fn a_cell_shows_the_worst_test_and_the_measured_values() {
        let all = [
            finding("c06_a", "20 (API 1.41)", true, None),
            finding("c12_a", "20 (API 1.41)", true, Some("5 of 5")),
            finding("c12_a", "26 (API 1.45)", true, Some("50 of 50")),
            finding("c12_a", "26 (API 1.45)", true, Some("50 of 50")),
            finding("c14_a", "26 (API 1.45)", true, None),
            finding("c14_b", "26 (API 1.45)", true, None),
            finding("c14_b", "26 (API 1.45)", false, None),
        ];
        let text = table(&all);
        let row = |id: &str| {
            let found = text.lines().find(|line| line.starts_with(&format!("| {id} ")));
            found.expect("a row").rsplit(" | ").take(2).map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(row("C06"), ["not run |", "holds"]);
        assert_eq!(row("C12"), ["holds, 2 of 2 runs; 50 of 50 |", "holds; 5 of 5"]);
        assert_eq!(row("C14"), ["**failed 1 of 2** |", "not run"]);
        let mut full = finding("c12_a", "20 (API 1.41)", true, Some("50 of 50"));
        full.long = true;
        let text = table(&[full, finding("c12_a", "20 (API 1.41)", true, Some("5 of 5"))]);
        assert!(text.contains("holds, 2 of 2 runs; 50 of 50 |"), "{text}");
    }
}
