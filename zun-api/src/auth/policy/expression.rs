//! Rules in the language of oslo.policy, OpenStack's library for policies, such as `role:operator or rule:admin_api`.
//!
//! The checks are `role:NAME`, `rule:NAME`, `is_admin:True`, `project_id:%(project_id)s`, `@` (everybody), `!` (nobody) and
//! an empty text (everybody). They are combined with `not`, `and`, `or` and parentheses, which bind in this order.

use std::collections::BTreeMap;

use crate::auth::Identity;

/// How deep rules and parentheses may be nested.
const DEEPEST: usize = 32;
/// The rule that says who is an administrator.
const IS_ADMIN: &str = "context_is_admin";
/// OpenStack's names for common rules. A file may define them otherwise.
const COMMON: [(&str, &str); 6] = [
    (IS_ADMIN, "role:admin"),
    ("admin_api", "rule:context_is_admin"),
    ("admin_required", "rule:context_is_admin"),
    ("admin_or_owner", "rule:context_is_admin or project_id:%(project_id)s"),
    ("admin_or_user", "rule:admin_or_owner"),
    ("deny_everybody", "!"),
];

/// A rule that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Expression {
    /// The caller has this role; upper and lower case are the same.
    Role(String),
    Not(Box<Self>),
    /// All of them hold; everybody if there are none.
    All(Vec<Self>),
    /// One of them holds; nobody if there are none.
    Any(Vec<Self>),
}

impl Expression {
    const EVERYBODY: Self = Self::All(Vec::new());
    const NOBODY: Self = Self::Any(Vec::new());

    /// Whether it holds for a caller.
    pub(super) fn holds(&self, identity: &Identity) -> bool {
        match self {
            Self::Role(role) => identity.roles.iter().any(|has| has.eq_ignore_ascii_case(role)),
            Self::Not(inner) => !inner.holds(identity),
            Self::All(inner) => inner.iter().all(|one| one.holds(identity)),
            Self::Any(inner) => inner.iter().any(|one| one.holds(identity)),
        }
    }
}

/// Why a rule cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExpressionError {
    /// It has a check that is not known.
    #[error(
        "`{0}` is not a check; the checks are role:NAME, rule:NAME, is_admin:True, project_id:%(project_id)s, @ and !"
    )]
    Check(String),
    /// Unexpected token, or unexpected end of the rule.
    #[error("expected {expected} instead of {found}")]
    Syntax {
        /// What is expected.
        expected: &'static str,
        /// The unexpected text.
        found: String,
    },
    /// It names an unknown rule.
    #[error("there is no rule `{0}`")]
    Unknown(String),
    /// Rules or parentheses are nested too deep, or a rule refers to itself.
    #[error("it is nested deeper than {DEEPEST} levels, or refers to itself")]
    Depth,
}

/// Reads rules that may name each other.
pub(super) struct Reader<'a> {
    rules: &'a BTreeMap<String, String>,
}

impl<'a> Reader<'a> {
    /// Reads the rules of a file, by their names.
    pub(super) const fn new(rules: &'a BTreeMap<String, String>) -> Self {
        Self { rules }
    }

    /// Reads one rule.
    pub(super) fn read(&self, text: &str) -> Result<Expression, ExpressionError> {
        self.rule(text, 0)
    }

    fn rule(&self, text: &str, depth: usize) -> Result<Expression, ExpressionError> {
        let words = words(text);
        if words.is_empty() {
            return Ok(Expression::EVERYBODY);
        }
        let mut rest = Rest { words: words.as_slice(), depth };
        let expression = self.any(&mut rest)?;
        match rest.words.first() {
            None => Ok(expression),
            Some(word) => Err(syntax("`and` or `or`", Some(word))),
        }
    }

    fn any(&self, rest: &mut Rest<'_>) -> Result<Expression, ExpressionError> {
        let mut alternatives = vec![self.all(rest)?];
        while rest.take("or") {
            alternatives.push(self.all(rest)?);
        }
        Ok(joined(alternatives, Expression::Any))
    }

    fn all(&self, rest: &mut Rest<'_>) -> Result<Expression, ExpressionError> {
        let mut conditions = vec![self.one(rest)?];
        while rest.take("and") {
            conditions.push(self.one(rest)?);
        }
        Ok(joined(conditions, Expression::All))
    }

    fn one(&self, rest: &mut Rest<'_>) -> Result<Expression, ExpressionError> {
        rest.depth += 1;
        if rest.depth > DEEPEST {
            return Err(ExpressionError::Depth);
        }
        let read = if rest.take("not") {
            Expression::Not(Box::new(self.one(rest)?))
        } else if rest.take("(") {
            let inner = self.any(rest)?;
            if !rest.take(")") {
                return Err(syntax("`)`", rest.words.first()));
            }
            inner
        } else {
            let Some((word, after)) = rest.words.split_first() else {
                return Err(syntax("a check", None));
            };
            rest.words = after;
            self.check(word, rest.depth)?
        };
        rest.depth -= 1;
        Ok(read)
    }

    fn check(&self, word: &str, depth: usize) -> Result<Expression, ExpressionError> {
        let unknown = || ExpressionError::Check(word.to_owned());
        match word.split_once(':') {
            None if word == "@" => Ok(Expression::EVERYBODY),
            None if word == "!" => Ok(Expression::NOBODY),
            Some(("role", role)) if !role.is_empty() => Ok(Expression::Role(role.to_owned())),
            Some(("rule", name)) => self.rule(self.text(name)?, depth),
            Some(("is_admin", "True" | "1")) => self.rule(self.text(IS_ADMIN)?, depth),
            // zun-api finds only objects of the caller's project, so this check always passes.
            Some(("project_id" | "tenant_id", "%(project_id)s" | "%(target.project_id)s")) => {
                Ok(Expression::EVERYBODY)
            }
            _ => Err(unknown()),
        }
    }

    fn text(&self, name: &str) -> Result<&str, ExpressionError> {
        if let Some(text) = self.rules.get(name) {
            return Ok(text);
        }
        let common = COMMON.iter().find(|(common, _)| *common == name);
        common.map(|(_, text)| *text).ok_or_else(|| ExpressionError::Unknown(name.to_owned()))
    }

    /// Whether a rule of the file names this one.
    pub(super) fn is_used(&self, name: &str) -> bool {
        let reference = format!("rule:{name}");
        COMMON.iter().any(|(common, _)| *common == name)
            || self.rules.values().any(|text| words(text).contains(&reference.as_str()))
    }
}

/// The tokens that were not parsed yet.
struct Rest<'a> {
    words: &'a [&'a str],
    depth: usize,
}

impl Rest<'_> {
    /// Consumes the next token if it is this one.
    fn take(&mut self, wanted: &str) -> bool {
        let found = self.words.split_first();
        match found {
            Some((word, after)) if word.eq_ignore_ascii_case(wanted) => {
                self.words = after;
                true
            }
            _ => false,
        }
    }
}

fn joined(
    mut inner: Vec<Expression>,
    join: impl FnOnce(Vec<Expression>) -> Expression,
) -> Expression {
    match inner.pop() {
        Some(only) if inner.is_empty() => only,
        Some(last) => {
            inner.push(last);
            join(inner)
        }
        None => join(inner),
    }
}

fn syntax(expected: &'static str, found: Option<&&str>) -> ExpressionError {
    let found = found.map_or_else(|| "the end".to_owned(), |word| format!("`{word}`"));
    ExpressionError::Syntax { expected, found }
}

/// Parentheses are separate tokens, except those of `%(…)s`.
fn words(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    for mut word in text.split_whitespace() {
        while let Some(rest) = word.strip_prefix('(') {
            words.push("(");
            word = rest;
        }
        let inner = word.trim_end_matches(')');
        if !inner.is_empty() {
            words.push(inner);
        }
        words.extend(std::iter::repeat_n(")", word.len() - inner.len()));
    }
    words
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn identity(roles: &[&str]) -> Identity {
        Identity {
            user: "ann".parse().expect("a user"),
            project: "web".parse().expect("a project"),
            roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        }
    }

    fn read(text: &str) -> Result<Expression, ExpressionError> {
        let rules = [("operators", "role:ops or role:Admin"), ("loop", "not (rule:loop)")];
        let rules = rules.map(|(name, text)| (name.to_owned(), text.to_owned())).into();
        Reader::new(&rules).read(text)
    }

    #[test]
    fn a_rule_holds_as_in_oslo_policy() {
        for (text, who, holds) in [
            ("", &[][..], true),
            ("@", &[], true),
            ("!", &["admin"], false),
            ("role:ops", &["OPS"], true),
            ("role:ops", &["member"], false),
            ("is_admin:True", &["admin"], true),
            ("rule:operators", &["ops"], true),
            ("rule:admin_or_owner", &["member"], true),
            ("rule:deny_everybody", &["admin"], false),
            ("not role:a", &["b"], true),
            ("role:a or role:b and role:c", &["a"], true),
            ("role:a or role:b and role:c", &["b"], false),
            ("(role:a or role:b) and role:c", &["a"], false),
            ("(role:a or role:b) and not (role:c)", &["a"], true),
            ("role:a OR project_id:%(project_id)s", &[], true),
        ] {
            let expression = read(text).expect(text);
            assert_eq!(expression.holds(&identity(who)), holds, "{text} for {who:?}");
        }
    }

    #[test]
    fn a_rule_that_cannot_be_used_says_why() {
        for (text, words) in [
            ("role:", "`role:` is not a check"),
            ("domain_id:x", "`domain_id:x` is not a check"),
            ("user_id:%(user_id)s", "is not a check"),
            ("role:a role:b", "expected `and` or `or` instead of `role:b`"),
            ("role:a and", "expected a check instead of the end"),
            ("(role:a", "expected `)` instead of the end"),
            ("rule:nobody_knows", "there is no rule `nobody_knows`"),
            ("rule:loop", "refers to itself"),
        ] {
            let refusal = read(text).expect_err(text).to_string();
            assert!(refusal.contains(words), "{text}: {refusal}");
        }
        assert_eq!(read(&format!("{}@", "(".repeat(10_000))), Err(ExpressionError::Depth));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[()!@ notadrule:%_s]{0,60}") {
            drop(read(&text));
        }
    }
}
