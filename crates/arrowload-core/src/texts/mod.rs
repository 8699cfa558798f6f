//! Texts into values: only what is surely right. What is not is left to the caller, who has the slower, complete rules.

mod each;
mod numbers;
mod parse;
mod rules;
mod times;

pub(crate) use each::try_each;
pub use parse::parse_texts;
pub(crate) use rules::{RuleVisitor, visit_rule};
