//! What a connection string leaves out, as libpq finds it: the environment, the user, files.

use std::collections::HashMap;
use std::env;
use std::path::{Path, PathBuf};

/// The environment variables that libpq reads, and the keywords that they stand for.
pub(super) const VARIABLES: [(&str, &str); 34] = [
    ("PGHOST", "host"),
    ("PGHOSTADDR", "hostaddr"),
    ("PGPORT", "port"),
    ("PGDATABASE", "dbname"),
    ("PGUSER", "user"),
    ("PGPASSWORD", "password"),
    ("PGPASSFILE", "passfile"),
    ("PGREQUIREAUTH", "require_auth"),
    ("PGCHANNELBINDING", "channel_binding"),
    ("PGSERVICE", "service"),
    ("PGOPTIONS", "options"),
    ("PGAPPNAME", "application_name"),
    ("PGSSLMODE", "sslmode"),
    ("PGSSLNEGOTIATION", "sslnegotiation"),
    ("PGSSLCERT", "sslcert"),
    ("PGSSLKEY", "sslkey"),
    ("PGSSLCERTMODE", "sslcertmode"),
    ("PGSSLROOTCERT", "sslrootcert"),
    ("PGSSLCRL", "sslcrl"),
    ("PGSSLCRLDIR", "sslcrldir"),
    ("PGSSLSNI", "sslsni"),
    ("PGREQUIREPEER", "requirepeer"),
    ("PGSSLMINPROTOCOLVERSION", "ssl_min_protocol_version"),
    ("PGSSLMAXPROTOCOLVERSION", "ssl_max_protocol_version"),
    ("PGGSSENCMODE", "gssencmode"),
    ("PGKRBSRVNAME", "krbsrvname"),
    ("PGGSSLIB", "gsslib"),
    ("PGGSSDELEGATION", "gssdelegation"),
    ("PGCONNECT_TIMEOUT", "connect_timeout"),
    ("PGTARGETSESSIONATTRS", "target_session_attrs"),
    ("PGLOADBALANCEHOSTS", "load_balance_hosts"),
    ("PGMINPROTOCOLVERSION", "min_protocol_version"),
    ("PGMAXPROTOCOLVERSION", "max_protocol_version"),
    ("PGSSLCOMPRESSION", "sslcompression"),
];
/// Variables that libpq hands to the server.
pub(super) const SESSION_VARIABLES: [(&str, &str); 3] =
    [("PGDATESTYLE", "datestyle"), ("PGTZ", "timezone"), ("PGGEQO", "geqo")];
/// Where servers put their sockets: most distributions, then Postgres itself.
const SOCKET_FOLDERS: [&str; 3] = ["/var/run/postgresql", "/run/postgresql", "/tmp"];

/// The environment of a connection; one of its own in tests.
pub(crate) struct Surroundings {
    pub(super) variables: HashMap<String, String>,
    pub(super) home: Option<PathBuf>,
    pub(super) system_user: Option<String>,
    pub(super) socket_folders: Vec<PathBuf>,
}

impl Surroundings {
    pub(crate) fn of_this_process() -> Self {
        let names = VARIABLES.iter().chain(&SESSION_VARIABLES).map(|(variable, _)| *variable);
        Self {
            // A value that is not UTF-8 reaches the refusal of its keyword as such.
            variables: names
                .filter_map(|name| Some((name.to_owned(), env::var_os(name)?.to_string_lossy().into_owned())))
                .collect(),
            home: env::home_dir().filter(|home| !home.as_os_str().is_empty()),
            system_user: uzers::get_user_by_uid(uzers::get_effective_uid())
                .map(|user| user.name().to_string_lossy().into_owned()),
            socket_folders: SOCKET_FOLDERS.iter().map(PathBuf::from).collect(),
        }
    }

    /// A file in the folder that libpq keeps in the home folder, when it is there.
    pub(super) fn own_file(&self, name: &str) -> Option<PathBuf> {
        let path = self.home.as_ref()?.join(".postgresql").join(name);
        path.exists().then_some(path)
    }

    /// The folder with a socket of that port, else `localhost`.
    pub(super) fn default_host(&self, port: u16) -> String {
        let has_socket = |folder: &&PathBuf| folder.join(socket_name(port)).exists();
        match self.socket_folders.iter().find(has_socket).and_then(|folder| folder.to_str()) {
            Some(folder) => folder.to_owned(),
            None => "localhost".to_owned(),
        }
    }

    pub(super) fn is_default_socket_folder(&self, folder: &str) -> bool {
        self.socket_folders.iter().any(|known| known == Path::new(folder))
    }
}

/// The file name of the socket of that port.
pub(crate) fn socket_name(port: u16) -> String {
    format!(".s.PGSQL.{port}")
}
