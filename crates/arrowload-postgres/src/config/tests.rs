//! What connection strings, the environment and files come to.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::error::Error;

/// A folder that is gone with the value.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("arrowload-config-{}-{number}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &str, mode: u32) -> PathBuf {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

fn surroundings(home: Option<&Path>, variables: &[(&str, &str)]) -> Surroundings {
    Surroundings {
        variables: variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect::<HashMap<_, _>>(),
        home: home.map(Path::to_owned),
        system_user: Some("me".to_owned()),
        socket_folders: home.map(Path::to_owned).into_iter().collect(),
    }
}

fn parse(conninfo: &str) -> Result<Config> {
    Config::parse_within(conninfo, &surroundings(None, &[]))
}

fn refusal(conninfo: &str) -> String {
    match parse(conninfo) {
        Err(Error::Configuration(sentence)) => sentence,
        other => panic!("{other:?}"),
    }
}

fn password(config: &Config) -> Option<&str> {
    config.hosts[0].password.as_ref().unwrap().as_ref().map(|password| password.0.as_str())
}

fn places(config: &Config) -> Vec<(&str, Option<&str>, u16)> {
    config.hosts.iter().map(|host| (host.name.as_str(), host.address.as_deref(), host.port)).collect()
}

#[test]
fn an_empty_string_means_this_machine_and_this_user() {
    let config = parse("").unwrap();
    assert_eq!(places(&config), [("localhost", None, 5432)]);
    assert_eq!((config.user(), config.dbname()), ("me", "me"));
    assert_eq!((config.tls.mode, config.target_session), (SslMode::Prefer, TargetSession::Any));
    assert_eq!((config.channel_binding, config.connect_timeout), (ChannelBinding::Prefer, None));
}

#[test]
fn a_socket_in_a_known_folder_comes_before_localhost() {
    let folder = Folder::new();
    folder.write(".s.PGSQL.5433", "", 0o600);
    let surroundings = surroundings(Some(&folder.0), &[]);
    let config = Config::parse_within("port=5433", &surroundings).unwrap();
    assert_eq!(config.hosts[0].name, folder.0.to_str().unwrap());
    assert!(config.hosts[0].is_unix());
    assert_eq!(places(&Config::parse_within("", &surroundings).unwrap()), [("localhost", None, 5432)]);
}

#[test]
fn quotes_and_backslashes_are_libpqs() {
    let config = parse(r"host = h user='a b' password = 'it\'s \\ me' dbname=with\ space").unwrap();
    assert_eq!((config.user(), config.dbname()), ("a b", "with space"));
    assert_eq!(password(&config), Some(r"it's \ me"));
    assert_eq!(parse("user='' dbname=d").unwrap().user(), "me");
    assert_eq!(parse("user=a user=b").unwrap().user(), "b");
}

#[test]
fn uris_are_libpqs() {
    let config = parse("postgresql://u%40x:p%2F%25@[::1]:5433,b/d%20b?connect_timeout=3&sslmode=disable").unwrap();
    assert_eq!(places(&config), [("::1", None, 5433), ("b", None, 5432)]);
    assert_eq!((config.user(), config.dbname(), password(&config)), ("u@x", "d b", Some("p/%")));
    assert_eq!((config.connect_timeout, config.tls.mode), (Some(Duration::from_secs(3)), SslMode::Disable));

    let config = parse("postgres://%2Fvar%2Frun:6000/db@home?user=x").unwrap();
    assert_eq!(places(&config), [("/var/run", None, 6000)]);
    assert_eq!((config.user(), config.dbname()), ("x", "db@home"));

    assert_eq!(places(&parse("postgresql://").unwrap()), [("localhost", None, 5432)]);
    assert_eq!(places(&parse("postgresql:///d?host=/s&port=1").unwrap()), [("/s", None, 1)]);
    assert_eq!(parse("postgresql://h/d?ssl=true").unwrap().tls.mode, SslMode::Require);
    assert_eq!(password(&parse("postgresql://u:a?b@h/d").unwrap()), Some("a?b"));
}

#[test]
fn several_hosts_have_one_port_or_one_each() {
    assert_eq!(places(&parse("host=a,b port=1").unwrap()), [("a", None, 1), ("b", None, 1)]);
    assert_eq!(places(&parse("host=a,b port=1,").unwrap()), [("a", None, 1), ("b", None, 5432)]);
    assert_eq!(
        places(&parse("host=a,b hostaddr=10.0.0.1,10.0.0.2").unwrap()),
        [("a", Some("10.0.0.1"), 5432), ("b", Some("10.0.0.2"), 5432)]
    );
    assert_eq!(places(&parse("hostaddr=10.0.0.1").unwrap()), [("10.0.0.1", Some("10.0.0.1"), 5432)]);
    for conninfo in ["host=a,b,c port=1,2", "host=a,b hostaddr=10.0.0.1", "host=a port=1,2"] {
        assert!(refusal(conninfo).contains("members"), "{conninfo}");
    }
}

#[test]
fn what_cannot_be_followed_is_refused() {
    for conninfo in [
        "service=x",
        "gssencmode=require",
        "krbsrvname=x",
        "require_auth=md5",
        "requirepeer=x",
        "sslpassword=x",
        "replication=database",
        "load_balance_hosts=random",
        "sslcertmode=require",
    ] {
        assert!(refusal(conninfo).ends_with("needs libpq; use `driver: adbc`"), "{conninfo}");
    }
    for conninfo in ["gssencmode=disable", "gssencmode=prefer", "load_balance_hosts=disable", "replication=off"] {
        parse(conninfo).unwrap();
    }
    for conninfo in [
        "nonsense=x",
        "host",
        "host=h password",
        "password='x",
        "port=0",
        "port=65536",
        "port=x",
        "sslmode=maybe",
        "connect_timeout=soon",
        "channel_binding=yes",
        "target_session_attrs=x",
        "client_encoding=latin1",
        "keepalives=yes",
        "sslrootcert=system sslmode=require",
        "sslnegotiation=direct",
        "sslcert=/x",
        "postgresql://h/d?x",
        "postgresql://[::1/d",
        "postgresql://h%zz/d",
        "postgresql://h/%ff",
        "postgresql://h/%00",
    ] {
        refusal(conninfo);
    }
}

#[test]
fn the_environment_fills_in_and_the_string_wins() {
    let variables = [
        ("PGHOST", "h"),
        ("PGPORT", "7"),
        ("PGUSER", "u"),
        ("PGDATABASE", "d"),
        ("PGPASSWORD", "p"),
        ("PGSSLMODE", "verify-full"),
        ("PGCONNECT_TIMEOUT", "9"),
        ("PGAPPNAME", "app"),
        ("PGOPTIONS", "-c x=y"),
        ("PGTZ", "UTC"),
        ("PGSSLROOTCERT", "/roots"),
        ("PGTARGETSESSIONATTRS", ""),
    ];
    let config = Config::parse_within("user=other application_name=mine", &surroundings(None, &variables)).unwrap();
    assert_eq!(places(&config), [("h", None, 7)]);
    assert_eq!((config.user(), config.dbname(), password(&config)), ("other", "d", Some("p")));
    assert_eq!(config.tls.mode, SslMode::VerifyFull);
    assert_eq!(config.tls.roots, Roots::File(PathBuf::from("/roots")));
    let startup: HashMap<_, _> = config.startup.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!((startup["application_name"], startup["options"], startup["timezone"]), ("mine", "-c x=y", "UTC"));

    let refused = Config::parse_within("", &surroundings(None, &[("PGREQUIREAUTH", "scram-sha-256")]));
    assert!(refused.unwrap_err().to_string().contains("`PGREQUIREAUTH`"));
}

#[test]
fn files_of_the_home_folder_are_found() {
    let folder = Folder::new();
    for name in ["root.crt", "root.crl", "postgresql.crt", "postgresql.key"] {
        folder.write(&format!(".postgresql/{name}"), "", 0o600);
    }
    let config = Config::parse_within("host=h", &surroundings(Some(&folder.0), &[])).unwrap();
    let own = folder.0.join(".postgresql");
    assert_eq!(config.tls.roots, Roots::File(own.join("root.crt")));
    assert_eq!(config.tls.identity, Some((own.join("postgresql.crt"), own.join("postgresql.key"))));
    assert_eq!(config.tls.revoked, Some(own.join("root.crl")));
    assert_eq!(parse("sslrootcert=system").unwrap().tls.mode, SslMode::VerifyFull);
}

#[test]
fn the_first_line_of_the_password_file_that_matches_counts() {
    let folder = Folder::new();
    let text = "# h:1:d:u:comment\nh:2:d:u:other port\nh:1:d\\:x:u:colon\r\n\nh:*:d:u:a\\:b\\\\c\n*:*:*:*:any\n";
    folder.write(".pgpass", text, 0o600);
    let surroundings = surroundings(Some(&folder.0), &[]);
    let found = |conninfo: &str| {
        let config = Config::parse_within(conninfo, &surroundings).unwrap();
        password(&config).map(ToOwned::to_owned)
    };
    assert_eq!(found("host=h port=1 dbname=d user=u").as_deref(), Some("a:b\\c"));
    assert_eq!(found("host=h port=2 dbname=d user=u").as_deref(), Some("other port"));
    assert_eq!(found("host=h port=1 dbname=d:x user=u").as_deref(), Some("colon"));
    assert_eq!(found("host=x port=1 dbname=d user=u").as_deref(), Some("any"));
    assert_eq!(found("host=h port=1 dbname=d user=u password=given").as_deref(), Some("given"));
}

#[test]
fn a_password_file_that_others_can_read_is_not_used() {
    let folder = Folder::new();
    let path = folder.write("passwords", "*:*:*:*:secret\n", 0o644);
    let config = parse(&format!("host=h passfile={}", path.display())).unwrap();
    let reason = config.hosts[0].password.as_ref().unwrap_err();
    assert!(reason.contains("can be read by others") && !reason.contains("secret"), "{reason}");
    assert_eq!(password(&parse("host=h passfile=/nowhere").unwrap()), None);
}

#[test]
fn no_debug_output_shows_a_password() {
    let config = parse("host=h password=hunter2").unwrap();
    assert!(!format!("{config:?}").contains("hunter2"));
}

fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\\', r"\\").replace('\'', r"\'"))
}

fn digit(value: u8) -> char {
    char::from_digit(value.into(), 16).unwrap().to_ascii_uppercase()
}

fn encoded(value: &str) -> String {
    value.bytes().flat_map(|byte| ['%', digit(byte >> 4), digit(byte & 15)]).collect()
}

proptest! {
    #[test]
    fn any_text_comes_through_quotes(user in "[^\0]{1,20}", password_text in "[^\0]{1,20}") {
        let config = parse(&format!("user={} password = {} host=h", quoted(&user), quoted(&password_text))).unwrap();
        prop_assert_eq!(config.user(), user);
        prop_assert_eq!(password(&config), Some(password_text.as_str()));
    }

    #[test]
    fn any_text_comes_through_percent_encoding(user in "[^\0]{1,20}", secret in "[^\0]{1,20}", dbname in "[^\0]{1,20}") {
        let uri = format!("postgresql://{}:{}@h:1/{}", encoded(&user), encoded(&secret), encoded(&dbname));
        let config = parse(&uri).unwrap();
        prop_assert_eq!((config.user(), config.dbname()), (user.as_str(), dbname.as_str()));
        prop_assert_eq!(password(&config), Some(secret.as_str()));
    }

    #[test]
    fn no_string_panics_or_shows_its_password(text in ".{0,60}", prefix in "(|postgresql://|host=h |password='hunter2' )") {
        if let Err(error) = parse(&format!("{prefix}{text}")) {
            prop_assert!(!error.to_string().contains("hunter2"));
        }
    }

    #[test]
    fn any_password_comes_out_of_its_file(secret in "[^\0\r\n]{1,20}") {
        let folder = Folder::new();
        let line = secret.replace('\\', r"\\").replace(':', r"\:");
        let path = folder.write("passwords", &format!("h:5432:d:u:{line}\n"), 0o600);
        let config = parse(&format!("host=h dbname=d user=u passfile={}", path.display())).unwrap();
        prop_assert_eq!(password(&config), Some(secret.as_str()));
    }
}
