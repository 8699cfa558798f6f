//! From keywords to a [`Config`]: what each one means, and what stands for those that were not given.

use std::collections::HashMap;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::passfile::{self, Login};
use super::surroundings::{SESSION_VARIABLES, Surroundings, VARIABLES};
use super::{ChannelBinding, Config, Host, Keepalive, Password, Roots, SslMode, TargetSession, TlsConfig};
use crate::error::{Error, Result};

/// Keywords that are followed.
const FOLLOWED: [&str; 27] = [
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "passfile",
    "channel_binding",
    "connect_timeout",
    "options",
    "application_name",
    "fallback_application_name",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_count",
    "tcp_user_timeout",
    "sslmode",
    "sslnegotiation",
    "sslcert",
    "sslkey",
    "sslrootcert",
    "sslcrl",
    "sslsni",
    "ssl_min_protocol_version",
    "target_session_attrs",
    "client_encoding",
];
/// Keywords of libpq's that are not, save for a value that asks for nothing.
const ONLY_LIBPQ: [(&str, &[&str]); 25] = [
    ("gssencmode", &["disable", "prefer"]),
    ("krbsrvname", &["postgres"]),
    ("gsslib", &[]),
    ("gssdelegation", &["0"]),
    ("service", &[]),
    ("servicefile", &[]),
    ("replication", &["false", "off", "no", "0"]),
    ("require_auth", &[]),
    ("requirepeer", &[]),
    ("requiressl", &["0"]),
    ("sslcompression", &["0"]),
    ("sslcertmode", &["allow"]),
    ("sslpassword", &[]),
    ("sslcrldir", &[]),
    ("sslkeylogfile", &[]),
    ("ssl_max_protocol_version", &["TLSv1.3"]),
    ("load_balance_hosts", &["disable"]),
    ("min_protocol_version", &["3.0"]),
    ("max_protocol_version", &["3.0", "3.2", "latest"]),
    ("scram_client_key", &[]),
    ("scram_server_key", &[]),
    ("oauth_issuer", &[]),
    ("oauth_client_id", &[]),
    ("oauth_client_secret", &[]),
    ("oauth_scope", &[]),
];

pub(super) fn resolve(given: Vec<(String, String)>, surroundings: &Surroundings) -> Result<Config> {
    let keywords = Keywords::collect(given, surroundings)?;
    let user = keywords
        .get("user")
        .or(surroundings.system_user.as_deref())
        .ok_or_else(|| Error::Configuration("`user` is not given, and the system knows no name of ours".to_owned()))?;
    let dbname = keywords.get("dbname").unwrap_or(user);
    Ok(Config {
        hosts: hosts(&keywords, user, dbname, surroundings)?,
        tls: tls(&keywords, surroundings)?,
        channel_binding: keywords.choice("channel_binding", &CHANNEL_BINDINGS, ChannelBinding::Prefer)?,
        target_session: keywords.choice("target_session_attrs", &TARGET_SESSIONS, TargetSession::Any)?,
        connect_timeout: keywords.connect_timeout()?,
        keepalive: keepalive(&keywords)?,
        startup: startup(&keywords, surroundings)?,
        user: user.to_owned(),
        dbname: dbname.to_owned(),
    })
}

const SSL_MODES: [(&str, SslMode); 6] = [
    ("disable", SslMode::Disable),
    ("allow", SslMode::Allow),
    ("prefer", SslMode::Prefer),
    ("require", SslMode::Require),
    ("verify-ca", SslMode::VerifyCa),
    ("verify-full", SslMode::VerifyFull),
];
const CHANNEL_BINDINGS: [(&str, ChannelBinding); 3] =
    [("disable", ChannelBinding::Disable), ("prefer", ChannelBinding::Prefer), ("require", ChannelBinding::Require)];
const TARGET_SESSIONS: [(&str, TargetSession); 6] = [
    ("any", TargetSession::Any),
    ("read-write", TargetSession::ReadWrite),
    ("read-only", TargetSession::ReadOnly),
    ("primary", TargetSession::Primary),
    ("standby", TargetSession::Standby),
    ("prefer-standby", TargetSession::PreferStandby),
];
const SWITCH: [(&str, bool); 2] = [("0", false), ("1", true)];

/// Keywords and values; an empty value is none, as for libpq.
struct Keywords(HashMap<String, String>);

impl Keywords {
    fn collect(given: Vec<(String, String)>, surroundings: &Surroundings) -> Result<Self> {
        let mut found = HashMap::new();
        for (variable, keyword) in VARIABLES {
            if let Some(value) = surroundings.variables.get(variable).filter(|value| !value.is_empty()) {
                check(keyword, value, &format!("the environment variable `{variable}`"))?;
                found.insert(keyword.to_owned(), value.clone());
            }
        }
        for (keyword, value) in given {
            check(&keyword, &value, &format!("the connection keyword `{keyword}`"))?;
            found.insert(keyword, value);
        }
        found.retain(|_, value| !value.is_empty());
        Ok(Self(found))
    }

    fn get(&self, keyword: &str) -> Option<&str> {
        self.0.get(keyword).map(String::as_str)
    }

    fn list(&self, keyword: &str) -> Vec<&str> {
        self.get(keyword).map_or_else(Vec::new, |value| value.split(',').map(str::trim).collect())
    }

    fn choice<T: Copy>(&self, keyword: &str, choices: &[(&str, T)], default: T) -> Result<T> {
        let Some(value) = self.get(keyword) else { return Ok(default) };
        if let Some((_, choice)) = choices.iter().find(|(name, _)| *name == value) {
            Ok(*choice)
        } else {
            let names: Vec<String> = choices.iter().map(|(name, _)| format!("`{name}`")).collect();
            Err(Error::Configuration(format!("`{keyword}` is `{value}`, which is none of {}", names.join(", "))))
        }
    }

    fn number<T: FromStr>(&self, keyword: &str) -> Result<Option<T>> {
        let Some(value) = self.get(keyword) else { return Ok(None) };
        match value.trim().parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(Error::Configuration(format!("`{keyword}` is `{value}`, which is no number that it takes"))),
        }
    }

    /// Seconds; zero and less are no limit.
    fn connect_timeout(&self) -> Result<Option<Duration>> {
        let seconds = self.number::<i32>("connect_timeout")?.and_then(|seconds| u64::try_from(seconds).ok());
        Ok(seconds.filter(|seconds| *seconds > 0).map(Duration::from_secs))
    }

    /// Zero is what the operating system does by itself.
    fn duration(&self, keyword: &str, unit: Duration) -> Result<Option<Duration>> {
        Ok(self.number::<u32>(keyword)?.filter(|number| *number > 0).map(|number| unit * number))
    }
}

fn check(keyword: &str, value: &str, what: &str) -> Result<()> {
    if value.contains('\0') {
        return Err(Error::Configuration(format!("{what} contains a NUL")));
    }
    if FOLLOWED.contains(&keyword) || value.is_empty() && is_libpqs(keyword) {
        return Ok(());
    }
    match ONLY_LIBPQ.iter().find(|(name, _)| *name == keyword) {
        Some((_, harmless)) if harmless.contains(&value) => Ok(()),
        Some(_) => Err(Error::Configuration(format!("{what} needs libpq; use `driver: adbc`"))),
        None => Err(Error::Configuration(format!("{what} is unknown"))),
    }
}

fn is_libpqs(keyword: &str) -> bool {
    ONLY_LIBPQ.iter().any(|(name, _)| *name == keyword)
}

fn hosts(keywords: &Keywords, user: &str, dbname: &str, surroundings: &Surroundings) -> Result<Vec<Host>> {
    let (names, addresses, ports) = (keywords.list("host"), keywords.list("hostaddr"), keywords.list("port"));
    let count = names.len().max(addresses.len()).max(1);
    if !names.is_empty() && !addresses.is_empty() && names.len() != addresses.len() {
        return Err(mismatch("hostaddr", addresses.len(), count));
    }
    if ports.len() > 1 && ports.len() != count {
        return Err(mismatch("port", ports.len(), count));
    }
    let mut hosts = Vec::with_capacity(count);
    for index in 0..count {
        let port = port(ports.get(index).or(ports.first().filter(|_| ports.len() == 1)))?;
        let address = addresses.get(index).filter(|address| !address.is_empty()).map(ToString::to_string);
        let name = match names.get(index).filter(|name| !name.is_empty()) {
            Some(name) => (*name).to_owned(),
            None => address.clone().unwrap_or_else(|| surroundings.default_host(port)),
        };
        let mut host = Host { name, address, port, password: Ok(None) };
        host.password = password(keywords, &host, user, dbname, surroundings);
        hosts.push(host);
    }
    Ok(hosts)
}

fn mismatch(keyword: &str, count: usize, hosts: usize) -> Error {
    Error::Configuration(format!("`{keyword}` has {count} members where there are {hosts} hosts"))
}

fn port(text: Option<&&str>) -> Result<u16> {
    match text {
        None | Some(&"") => Ok(5432),
        Some(text) => text
            .parse()
            .ok()
            .filter(|port| *port > 0)
            .ok_or_else(|| Error::Configuration(format!("`port` is `{text}`, which is none from 1 to 65535"))),
    }
}

fn password(
    keywords: &Keywords,
    host: &Host,
    user: &str,
    dbname: &str,
    surroundings: &Surroundings,
) -> std::result::Result<Option<Password>, String> {
    if let Some(password) = keywords.get("password") {
        return Ok(Some(Password(password.to_owned())));
    }
    let own = || surroundings.home.as_ref().map(|home| home.join(".pgpass"));
    let Some(path) = keywords.get("passfile").map(PathBuf::from).or_else(own) else { return Ok(None) };
    let local = surroundings.is_default_socket_folder(&host.name);
    let login = Login { host: if local { "localhost" } else { &host.name }, port: host.port, dbname, user };
    passfile::look_up(&path, &login)
}

fn tls(keywords: &Keywords, surroundings: &Surroundings) -> Result<TlsConfig> {
    let system = keywords.get("sslrootcert") == Some("system");
    let default = if system { SslMode::VerifyFull } else { SslMode::Prefer };
    let mode = keywords.choice("sslmode", &SSL_MODES, default)?;
    if system && mode != SslMode::VerifyFull {
        return Err(Error::Configuration("`sslrootcert=system` goes with `sslmode=verify-full` only".to_owned()));
    }
    let direct = keywords.choice("sslnegotiation", &[("postgres", false), ("direct", true)], false)?;
    if direct && matches!(mode, SslMode::Disable | SslMode::Allow | SslMode::Prefer) {
        return Err(Error::Configuration("`sslnegotiation=direct` needs `sslmode=require` or stricter".to_owned()));
    }
    let versions = [("TLSv1", false), ("TLSv1.1", false), ("TLSv1.2", false), ("TLSv1.3", true)];
    let file =
        |keyword: &str, name: &str| keywords.get(keyword).map(PathBuf::from).or_else(|| surroundings.own_file(name));
    Ok(TlsConfig {
        mode,
        roots: roots(keywords, surroundings),
        identity: identity(keywords, surroundings)?,
        revoked: file("sslcrl", "root.crl"),
        server_name_indication: keywords.choice("sslsni", &SWITCH, true)?,
        direct,
        newest_only: keywords.choice("ssl_min_protocol_version", &versions, false)?,
    })
}

fn roots(keywords: &Keywords, surroundings: &Surroundings) -> Roots {
    match keywords.get("sslrootcert") {
        Some("system") => Roots::System,
        Some(path) => Roots::File(PathBuf::from(path)),
        None => surroundings.own_file("root.crt").map_or(Roots::None, Roots::File),
    }
}

fn identity(keywords: &Keywords, surroundings: &Surroundings) -> Result<Option<(PathBuf, PathBuf)>> {
    let given = keywords.get("sslcert").map(PathBuf::from);
    let Some(certificate) = given.or_else(|| surroundings.own_file("postgresql.crt")) else { return Ok(None) };
    let key = keywords.get("sslkey").map(PathBuf::from).or_else(|| surroundings.own_file("postgresql.key"));
    match key {
        Some(key) => Ok(Some((certificate, key))),
        None => Err(Error::Configuration(format!(
            "the client certificate `{}` has no key; give `sslkey`",
            certificate.display()
        ))),
    }
}

fn keepalive(keywords: &Keywords) -> Result<Keepalive> {
    let second = Duration::from_secs(1);
    Ok(Keepalive {
        enabled: keywords.choice("keepalives", &SWITCH, true)?,
        idle: keywords.duration("keepalives_idle", second)?,
        interval: keywords.duration("keepalives_interval", second)?,
        count: keywords.number("keepalives_count")?.filter(|count| *count > 0),
        user_timeout: keywords.duration("tcp_user_timeout", Duration::from_millis(1))?,
    })
}

fn startup(keywords: &Keywords, surroundings: &Surroundings) -> Result<Vec<(&'static str, String)>> {
    let utf8 = [("UTF8", ()), ("utf8", ()), ("UTF-8", ()), ("utf-8", ()), ("unicode", ()), ("UNICODE", ())];
    keywords.choice("client_encoding", &utf8, ())?;
    let mut startup = vec![("client_encoding", "UTF8".to_owned())];
    if let Some(name) = keywords.get("application_name").or(keywords.get("fallback_application_name")) {
        startup.push(("application_name", name.to_owned()));
    }
    if let Some(options) = keywords.get("options") {
        startup.push(("options", options.to_owned()));
    }
    for (variable, setting) in SESSION_VARIABLES {
        if let Some(value) = surroundings.variables.get(variable).filter(|value| !value.is_empty()) {
            startup.push((setting, value.clone()));
        }
    }
    Ok(startup)
}
