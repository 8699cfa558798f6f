//! `postgresql://` URIs: <https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS>

use crate::error::{Error, Result};

const SCHEMES: [&str; 2] = ["postgresql://", "postgres://"];

pub(super) fn is_uri(text: &str) -> bool {
    SCHEMES.iter().any(|scheme| text.starts_with(scheme))
}

/// The URI as keywords and values, parameters last.
pub(super) fn parse(uri: &str) -> Result<Vec<(String, String)>> {
    let rest = SCHEMES.iter().find_map(|scheme| uri.strip_prefix(scheme)).unwrap_or(uri);
    // As libpq reads it: the first `@` ends the login, unless a slash comes before it.
    let (login, rest) = match rest.find(['@', '/']) {
        Some(at) if rest.as_bytes()[at] == b'@' => (Some(&rest[..at]), &rest[at + 1..]),
        _ => (None, rest),
    };
    let (rest, parameters) = rest.split_once('?').unwrap_or((rest, ""));
    let (hosts, dbname) = rest.split_once('/').unwrap_or((rest, ""));
    let mut pairs = Vec::new();
    if let Some(login) = login {
        let (user, password) = login.split_once(':').map_or((login, None), |(user, rest)| (user, Some(rest)));
        push(&mut pairs, "user", user)?;
        push(&mut pairs, "password", password.unwrap_or(""))?;
    }
    push_hosts(&mut pairs, hosts)?;
    push(&mut pairs, "dbname", dbname)?;
    for parameter in parameters.split('&').filter(|parameter| !parameter.is_empty()) {
        push_parameter(&mut pairs, parameter)?;
    }
    Ok(pairs)
}

fn push(pairs: &mut Vec<(String, String)>, keyword: &str, encoded: &str) -> Result<()> {
    if !encoded.is_empty() {
        pairs.push((keyword.to_owned(), decode(encoded, keyword)?));
    }
    Ok(())
}

fn push_hosts(pairs: &mut Vec<(String, String)>, hosts: &str) -> Result<()> {
    let mut names = Vec::new();
    let mut ports = Vec::new();
    for host in hosts.split(',') {
        let (name, port) = split_port(host)?;
        names.push(name);
        ports.push(port);
    }
    if names.iter().any(|name| !name.is_empty()) {
        push(pairs, "host", &names.join(","))?;
    }
    if ports.iter().any(|port| !port.is_empty()) {
        push(pairs, "port", &ports.join(","))?;
    }
    Ok(())
}

fn split_port(host: &str) -> Result<(&str, &str)> {
    if let Some(rest) = host.strip_prefix('[') {
        let Some((address, rest)) = rest.split_once(']') else {
            return Err(Error::Configuration("the connection URI has `[` without `]`".to_owned()));
        };
        return match rest.strip_prefix(':') {
            Some(port) => Ok((address, port)),
            None if rest.is_empty() => Ok((address, "")),
            None => {
                Err(Error::Configuration("the connection URI has something other than a port after `]`".to_owned()))
            }
        };
    }
    Ok(host.split_once(':').unwrap_or((host, "")))
}

fn push_parameter(pairs: &mut Vec<(String, String)>, parameter: &str) -> Result<()> {
    let Some((keyword, value)) = parameter.split_once('=') else {
        return Err(Error::Configuration("the connection URI has a parameter without `=`".to_owned()));
    };
    let keyword = decode(keyword, "a parameter's name")?;
    // JDBC's spelling, which libpq takes too.
    let (keyword, value) =
        if keyword == "ssl" && value == "true" { ("sslmode".to_owned(), "require") } else { (keyword, value) };
    pairs.push((keyword.clone(), decode(value, &keyword)?));
    Ok(())
}

fn decode(encoded: &str, keyword: &str) -> Result<String> {
    let malformed = || Error::Configuration(format!("`{keyword}` in the connection URI is not percent-encoded text"));
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
        let (Some(high), Some(low)) = (digit(rest.next()), digit(rest.next())) else { return Err(malformed()) };
        bytes.push(u8::try_from(high * 16 + low).map_err(|_| malformed())?);
    }
    match String::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => Ok(text),
        _ => Err(malformed()),
    }
}
