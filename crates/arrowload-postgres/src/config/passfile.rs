//! Password files: <https://www.postgresql.org/docs/current/libpq-pgpass.html>

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::Password;

/// What the line of a password file is looked up by.
pub(super) struct Login<'a> {
    pub(super) host: &'a str,
    pub(super) port: u16,
    pub(super) dbname: &'a str,
    pub(super) user: &'a str,
}

/// The password of the first line that matches; None without such a file.
///
/// # Errors
/// The file can be read by others than its owner, or not by us: the sentence to say when a password is asked for.
pub(super) fn look_up(path: &Path, login: &Login<'_>) -> Result<Option<Password>, String> {
    let Ok(facts) = fs::metadata(path) else { return Ok(None) };
    if !facts.is_file() {
        return Ok(None);
    }
    if facts.permissions().mode() & 0o077 != 0 {
        return Err(format!(
            "the password file `{}` can be read by others and is not used; its permissions should be 0600",
            path.display()
        ));
    }
    let bytes =
        fs::read(path).map_err(|error| format!("the password file `{}` cannot be read: {error}", path.display()))?;
    Ok(String::from_utf8_lossy(&bytes).lines().find_map(|line| password_in(line, login)))
}

fn password_in(line: &str, login: &Login<'_>) -> Option<Password> {
    if line.starts_with('#') {
        return None;
    }
    let port = login.port.to_string();
    let mut rest = line.strip_suffix('\r').unwrap_or(line);
    for wanted in [login.host, &port, login.dbname, login.user] {
        let (raw, value, tail) = field(rest);
        if raw != "*" && value != wanted {
            return None;
        }
        rest = tail?;
    }
    let (_, password, _) = field(rest);
    (!password.is_empty()).then_some(Password(password))
}

/// The text up to the next bare colon, as written and without its backslashes, and what comes after the colon.
fn field(text: &str) -> (&str, String, Option<&str>) {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            ':' => return (&text[..at], value, Some(&text[at + 1..])),
            '\\' => value.extend(letters.next().map(|(_, next)| next)),
            _ => value.push(letter),
        }
    }
    (text, value, None)
}
