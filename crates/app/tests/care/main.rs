//! What happens to data: disks that are full, files that are damaged, gone, of another version or
//! put back from a backup, and the way to PostgreSQL. The gateway is the program, as it ships.

#[expect(dead_code, reason = "other suites ask more of it")]
#[path = "../../../store/tests/support/postgres.rs"]
mod postgres;
#[expect(dead_code, reason = "other suites ask more of it")]
#[path = "../support/program.rs"]
mod program;
#[expect(dead_code, reason = "other suites ask more of it")]
#[path = "../support/visitor.rs"]
mod visitor;
#[expect(dead_code, reason = "other suites ask more of it")]
#[path = "../support/witness.rs"]
mod witness;
mod world;

mod faults;
mod moving;
mod refused;
mod restore;
