//! `keyword = value` strings.

use std::iter::Peekable;
use std::str::Chars;

use crate::error::{Error, Result};

/// Keywords and values in the order given; a value may stand in single quotes, and a backslash takes the next
/// character as it is.
pub(super) fn parse(conninfo: &str) -> Result<Vec<(String, String)>> {
    let mut rest = conninfo.chars().peekable();
    let mut pairs = Vec::new();
    loop {
        skip_spaces(&mut rest);
        if rest.peek().is_none() {
            return Ok(pairs);
        }
        let keyword = keyword(&mut rest)?;
        skip_spaces(&mut rest);
        let value = value(&mut rest, &keyword)?;
        pairs.push((keyword, value));
    }
}

fn skip_spaces(rest: &mut Peekable<Chars<'_>>) {
    while rest.next_if(char::is_ascii_whitespace).is_some() {}
}

fn keyword(rest: &mut Peekable<Chars<'_>>) -> Result<String> {
    let mut name = String::new();
    while let Some(letter) = rest.next_if(|letter| *letter != '=' && !letter.is_ascii_whitespace()) {
        name.push(letter);
    }
    skip_spaces(rest);
    if rest.next_if_eq(&'=').is_none() {
        // What stands here may be the end of a password with a space in it.
        return Err(malformed("a keyword without `=`"));
    }
    Ok(name)
}

fn value(rest: &mut Peekable<Chars<'_>>, keyword: &str) -> Result<String> {
    let quoted = rest.next_if_eq(&'\'').is_some();
    let mut value = String::new();
    loop {
        match rest.peek() {
            None if quoted => return Err(malformed(&format!("no closing quote after `{keyword}`"))),
            None => return Ok(value),
            Some('\'') if quoted => {
                rest.next();
                return Ok(value);
            }
            Some(letter) if !quoted && letter.is_ascii_whitespace() => return Ok(value),
            Some('\\') => {
                rest.next();
                value.extend(rest.next());
            }
            Some(_) => value.extend(rest.next()),
        }
    }
}

fn malformed(what: &str) -> Error {
    Error::Configuration(format!("the connection string has {what}"))
}
