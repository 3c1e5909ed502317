//! Random container names in OpenStack Zun's form: `<greek>-<n>-container`.

use rand::RngExt;
use rand::seq::IndexedRandom;

const LETTERS: [&str; 24] = [
    "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa",
    "lambda", "mu", "nu", "xi", "omicron", "pi", "rho", "sigma", "tau", "upsilon", "phi", "chi",
    "psi", "omega",
];

/// Returns a random name, which may be taken.
pub(super) fn random() -> String {
    let mut rng = rand::rng();
    let letter = LETTERS.choose(&mut rng).copied().unwrap_or("alpha");
    let number = rng.random_range(1..10_000);
    format!("{letter}-{number}-container")
}
