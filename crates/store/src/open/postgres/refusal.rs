//! Whose move it is when a server does not let us in.

use std::io;

use rustls::CertificateError;
use sqlx::migrate::MigrateError;

use crate::{db::postgres::Cause, open::OpenError};

pub(super) fn refused(source: sqlx::Error, server: &str) -> OpenError {
    let server = server.to_owned();
    match &source {
        sqlx::Error::Io(error) => match error.get_ref().and_then(|inner| inner.downcast_ref()) {
            Some(tls) => return of_tls(tls, server),
            // With a host name, what is not found is a file: sockets are looked for elsewhere.
            None if error.kind() == io::ErrorKind::NotFound && !server.starts_with('/') => {
                return OpenError::TlsFiles(source);
            }
            None => {}
        },
        // The one text of sqlx's that is an answer of the server; a test would notice a change.
        sqlx::Error::Tls(error) if error.to_string() == "server does not support TLS" => {
            return OpenError::NoTls { server };
        }
        sqlx::Error::Tls(_) | sqlx::Error::Configuration(_) => return OpenError::TlsFiles(source),
        sqlx::Error::Database(error) => match error.code().as_deref() {
            Some("28P01") => return OpenError::WrongPassword { server },
            Some("28000") => return OpenError::NotAdmitted { server },
            Some("3D000") => return OpenError::NoDatabase { server },
            _ => {}
        },
        _ => {}
    }
    match Cause::of(&source) {
        Some(Cause::ReadOnly) => OpenError::ReadOnly { server },
        _ => OpenError::Unreachable { server, source },
    }
}

pub(super) fn migration_refused(error: MigrateError, server: &str) -> OpenError {
    let (MigrateError::Execute(source) | MigrateError::ExecuteMigration(source, _)) = error else {
        return error.into();
    };
    let code = source.as_database_error().and_then(|error| error.code().map(String::from));
    if code.as_deref() == Some("42501") {
        return OpenError::NoPrivilege { server: server.to_owned() };
    }
    match Cause::of(&source) {
        Some(_) => refused(source, server),
        None => OpenError::Migration(MigrateError::Execute(source)),
    }
}

fn of_tls(error: &rustls::Error, server: String) -> OpenError {
    match error {
        rustls::Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => OpenError::WrongName { server },
        rustls::Error::InvalidCertificate(
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. },
        ) => OpenError::Expired { server },
        rustls::Error::InvalidCertificate(_) => OpenError::UnknownAuthority { server },
        rustls::Error::AlertReceived(_) => OpenError::ClientCertificate { server },
        _ => OpenError::TlsFailed { server },
    }
}
