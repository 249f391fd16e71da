//! The SQL store: SQLite in one file, behind the storage traits of core
