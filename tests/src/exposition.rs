//! Reads metrics in the `OpenMetrics` text format, and checks them against the conventions of Prometheus, as
//! `promtool check metrics` does.

use std::collections::{BTreeMap, BTreeSet};

/// Units that a name must not have: Prometheus wants base units.
const OTHER_UNITS: [&str; 8] =
    ["milliseconds", "ms", "minutes", "kilobytes", "mebibytes", "mib", "percent", "millis"];
/// The units that a name may have.
const BASE_UNITS: [&str; 3] = ["seconds", "bytes", "cpus"];

/// All metrics of one answer.
#[derive(Debug, Default)]
pub struct Exposition {
    families: BTreeMap<String, Family>,
    samples: Vec<Sample>,
    problems: Vec<String>,
}

#[derive(Debug, Default)]
struct Family {
    kind: String,
    unit: Option<String>,
    help: String,
}

#[derive(Debug)]
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

impl Exposition {
    /// Reads an answer. What cannot be read is one of the [`Exposition::problems`].
    pub fn of(text: &str) -> Self {
        let mut read = Self::default();
        let Some(body) = text.trim_end().strip_suffix("# EOF") else {
            read.problems.push("the last line is not `# EOF`".to_owned());
            return read;
        };
        for line in body.lines() {
            if read.line(line).is_none() {
                read.problems.push(format!("cannot read: {line}"));
            }
        }
        read
    }

    fn line(&mut self, line: &str) -> Option<()> {
        if let Some(comment) = line.strip_prefix("# ") {
            let (keyword, rest) = comment.split_once(' ')?;
            let (name, text) = rest.split_once(' ')?;
            let family = self.families.entry(name.to_owned()).or_default();
            match keyword {
                "HELP" => text.clone_into(&mut family.help),
                "UNIT" => family.unit = Some(text.to_owned()),
                "TYPE" if family.kind.is_empty() => text.clone_into(&mut family.kind),
                "TYPE" => self.problems.push(format!("{name} occurs twice")),
                _ => return None,
            }
            return Some(());
        }
        let (series, value) = line.rsplit_once(' ')?;
        let (name, labels) = match series.split_once('{') {
            Some((name, labels)) => (name, read_labels(labels.strip_suffix('}')?)?),
            None => (series, BTreeMap::new()),
        };
        let value = value.parse().ok()?;
        self.samples.push(Sample { name: name.to_owned(), labels, value });
        Some(())
    }

    /// The sum of the samples with this name and these labels. `None` if there is none.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let has = |sample: &&Sample| {
            let matches = |(label, value): &(&str, &str)| {
                sample.labels.get(*label).is_some_and(|is| is == value)
            };
            sample.name == name && labels.iter().all(matches)
        };
        let found: Vec<f64> = self.samples.iter().filter(has).map(|sample| sample.value).collect();
        if found.is_empty() { None } else { Some(found.iter().sum()) }
    }

    /// All values of a label.
    pub fn values(&self, label: &str) -> BTreeSet<String> {
        self.samples.iter().filter_map(|sample| sample.labels.get(label).cloned()).collect()
    }

    /// What breaks the conventions. All names must begin with the prefix, and only these labels may be used.
    pub fn problems(&self, prefix: &str, labels: &[&str]) -> Vec<String> {
        let mut problems = self.problems.clone();
        for (name, family) in &self.families {
            problems.extend(
                family.problems(name, prefix).into_iter().map(|why| format!("{name} {why}")),
            );
        }
        for sample in &self.samples {
            let why = self.problem_of(sample, labels);
            problems.extend(why.map(|why| format!("{} {:?} {why}", sample.name, sample.labels)));
        }
        problems
    }

    fn problem_of(&self, sample: &Sample, labels: &[&str]) -> Option<String> {
        let Some((suffix, family)) = self.family(&sample.name) else {
            return Some("is of no family".to_owned());
        };
        let is_histogram = family.kind == "histogram";
        for (label, value) in &sample.labels {
            let is_bound = label == "le" && is_histogram && suffix == "_bucket";
            if !is_bound && !labels.contains(&label.as_str()) {
                return Some(format!("has the label {label}"));
            }
            if value.len() > 120 || value.split(['-', '/', '_']).any(is_id) {
                return Some(format!("has the value {value}"));
            }
        }
        if suffix == "_count" && is_histogram {
            return self.problem_of_histogram(sample);
        }
        (sample.value.is_nan()).then(|| "is not a number".to_owned())
    }

    /// The buckets must not decrease, and the last has everything.
    fn problem_of_histogram(&self, count: &Sample) -> Option<String> {
        let bucket = count.name.replace("_count", "_bucket");
        let of_series = |sample: &&Sample| {
            let mut labels = sample.labels.clone();
            sample.name == bucket && labels.remove("le").is_some() && labels == count.labels
        };
        let buckets: Vec<&Sample> = self.samples.iter().filter(of_series).collect();
        let rises = buckets.windows(2).all(|pair| pair[0].value <= pair[1].value);
        let last = buckets.last()?;
        let is_whole = (last.value - count.value).abs() < 0.5 && last.labels["le"] == "+Inf";
        (!rises || !is_whole).then(|| "has wrong buckets".to_owned())
    }

    fn family(&self, sample: &str) -> Option<(&'static str, &Family)> {
        let suffixes = |kind: &str| match kind {
            "counter" => &["_total"][..],
            "histogram" => &["_bucket", "_sum", "_count"],
            "info" => &["_info"],
            _ => &[""],
        };
        self.families.iter().find_map(|(name, family)| {
            let suffix = sample.strip_prefix(name.as_str())?;
            let known = suffixes(&family.kind).iter().find(|known| **known == suffix)?;
            Some((*known, family))
        })
    }
}

impl Family {
    fn problems(&self, name: &str, prefix: &str) -> Vec<String> {
        let mut problems = Vec::new();
        let mut require = |holds: bool, why: &str| {
            if !holds {
                problems.push(why.to_owned());
            }
        };
        let is_letter = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_');
        require(name.starts_with(prefix), "has another prefix");
        require(name.bytes().all(is_letter) && !name.contains("__"), "is not in snake case");
        let kinds = ["counter", "gauge", "histogram", "info"];
        require(kinds.contains(&self.kind.as_str()), "has no known type");
        require(self.help.len() > 8 && self.help.ends_with('.'), "has no help");
        let ends = ["_total", "_count", "_sum", "_bucket", "_info"];
        require(!ends.iter().any(|end| name.ends_with(end)), "has a reserved suffix");
        let has_other = name.split('_').any(|word| OTHER_UNITS.contains(&word));
        require(!has_other, "is not in a base unit");
        let unit = name.rsplit('_').next().filter(|word| BASE_UNITS.contains(word));
        require(self.unit.as_deref() == unit, "has another unit than its name");
        require(self.kind != "histogram" || unit.is_some(), "is a histogram without a unit");
        problems
    }
}

/// Whether a word looks like a part of an ID.
fn is_id(word: &str) -> bool {
    word.len() >= 8 && word.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Reads `name="value",…`. None of our values has a quote.
fn read_labels(text: &str) -> Option<BTreeMap<String, String>> {
    let mut labels = BTreeMap::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (name, after) = rest.split_once("=\"")?;
        let (value, after) = after.split_once('"')?;
        labels.insert(name.to_owned(), value.to_owned());
        rest = after.strip_prefix(',').unwrap_or(after);
    }
    Some(labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        Exposition::of(&format!("{text}# EOF\n")).problems("x", &["kind"])
    }

    #[test]
    fn what_breaks_a_convention_is_found() {
        let good = "# HELP x_work_seconds Time of work.\n# TYPE x_work_seconds gauge\n\
                    # UNIT x_work_seconds seconds\nx_work_seconds{kind=\"a b\"} 1.5\n";
        assert_eq!(problems(good), Vec::<String>::new());
        for bad in [
            good.replace("x_work", "y_work"),
            good.replace("work_seconds", "work_ms"),
            good.replace("# UNIT x_work_seconds seconds\n", ""),
            good.replace("Time of work.", "x"),
            good.replace("kind=", "project="),
            good.replace("a b", "7b0c8a3e-5f5e-4c5a-9d29-6e1f6f2f3f11"),
            good.replace("gauge", "histogram"),
            good.replace("x_work_seconds{", "x_other_seconds{"),
            good.replace("1.5", "much"),
            format!("{good}{good}"),
        ] {
            assert!(!problems(&bad).is_empty(), "{bad}");
        }
        assert!(!Exposition::of(good).problems("x", &["kind"]).is_empty(), "it has no end");
    }
}
